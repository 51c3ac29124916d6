internal import BoxAudit
internal import BoxKernel
internal import BoxTypes
internal import Glibc

/// The process `box-proxy`: the network door of one session, outside the sandbox.
///
/// It is started with `--control FD` and is told everything else there (`ProxyMessage`). It confines itself before
/// the first listener is served, lives as long as its supervisor, and stores nothing.
package enum Proxy {
    /// Runs until the supervisor goes; returns the exit status where it could not start.
    package static func run(_ arguments: [String]) -> CInt {
        guard arguments.count == 3, arguments[1] == "--control", let number = CInt(arguments[2]), number > 2
        else {
            print("box-proxy: this program is started by box (usage: box-proxy --control FD)")
            return 125
        }
        let control = Control(owning: number)
        do {
            try ProcessHygiene.enter(keeping: number)
            try Resolver.limitWaiting()
            let configuration = try control.configuration()
            try Confinement.enter(configuration)
            try serve(configuration, control)
        } catch {
            control.sendFailed("\(error)")
        }
        return 1
    }

    private static func serve(_ configuration: ProxyConfiguration, _ control: borrowing Control) throws {
        let reports = try control.duplicate()
        let server = try Server(configuration) {
            let reporter = Reporter(Control(owning: reports))
            return { reporter.control.send($0, waits: $1) }
        }
        var isReady = false
        while true {
            switch try control.order() {
            case .serve(let sockets):
                for (socket, number) in sockets { try server.serve(socket, number) }
                if !isReady { control.sendReady() }
                isReady = true
                try server.checkStock()
            case .rules(let rules, let number): try server.apply(rules, number: number)
            case .traffic: try server.reportTraffic()
            case .end:
                try server.logOpen()
                _exit(0)
            }
        }
    }

    /// Holds the event loop's handle of the control socket; a closure can't own one by itself.
    private final class Reporter {
        let control: Control
        init(_ control: consuming Control) { self.control = control }
    }
}
