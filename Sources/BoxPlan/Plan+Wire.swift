package import BoxTypes

// Only what the sandbox's first process needs travels: command, environment, directory, identity and steps.
extension Plan {
    /// Writes the part of the plan that is carried out inside.
    package func write(to writer: inout WireWriter) {
        writer.write(command) { $0.write($1) }
        writer.write(environment) { writer, entry in
            writer.write(entry.name)
            writer.write(entry.value)
        }
        writer.write(workingDirectory.string)
        writer.write(Int(identity.insideUID))
        writer.write(Int(identity.insideGID))
        writer.write(Int(identity.outsideUID))
        writer.write(Int(identity.outsideGID))
        writer.write(identity.name)
        writer.write(steps) { $1.write(to: &$0) }
    }

    /// Reads what `write(to:)` wrote; steps in a wrong order are malformed.
    package init(from reader: inout WireReader) throws(WireError) {
        self.init(
            command: try reader.list { (r: inout WireReader) throws(WireError) in try r.string() },
            environment: try reader.list { (r: inout WireReader) throws(WireError) -> EnvironmentEntry in
                EnvironmentEntry(try r.string(), try r.string())
            },
            workingDirectory: try reader.path(),
            identity: Identity(
                insideUID: try reader.uint32(), insideGID: try reader.uint32(),
                outsideUID: try reader.uint32(), outsideGID: try reader.uint32(), name: try reader.string()),
            orderedSteps: try reader.list { (r: inout WireReader) throws(WireError) -> Step in
                try Step(from: &r)
            })
        var rank = 0
        for step in steps {
            guard step.rank >= rank else { throw reader.malformed("order of the steps") }
            rank = step.rank
        }
    }
}
