import BoxInit

// The sandbox's own entries come before any parsing: they must start fast and depend on nothing.
switch CommandLine.arguments.dropFirst().first {
case "__prove": Prover.run()
case "__door": DoorEntry.run()
case "__protect": ProtectEntry.run()
default:
    CommandLineSecret.hide()
    Box.start()
}
