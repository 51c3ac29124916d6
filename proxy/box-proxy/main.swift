import BoxProxy
import Glibc

exit(Proxy.run(CommandLine.arguments))
