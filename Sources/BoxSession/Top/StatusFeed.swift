package import BoxKernel
internal import CLinux
internal import Glibc

/// Asks the supervisors of sessions again and again over connections that stay open, and waits for none of them.
package final class StatusFeed {
    private struct Line {
        let socket: CInt
        /// When it was asked what it has not answered yet.
        var asked: Int?
        var status: SessionStatus?
    }

    private var lines: [String: Line] = [:]

    package init() {}

    deinit { for line in lines.values { close(line.socket) } }

    /// Asks those of these sessions that have answered the last time, and forgets all others.
    package func ask(_ sessions: [StoredSession], now: Int) {
        let names = Set(sessions.map(\.name))
        for name in lines.keys where !names.contains(name) { drop(name) }
        for session in sessions {
            if lines[session.name] == nil { connect(session) }
            guard let line = lines[session.name], line.asked == nil else { continue }
            do throws(KernelError) {
                try ControlSocket.send(ControlRequest.status.wire, to: line.socket)
                lines[session.name]?.asked = now
            } catch { drop(session.name) }
        }
    }

    private func connect(_ session: StoredSession) {
        // One that is just beginning or ending is there the next time, or gone.
        do throws(KernelError) {
            let place = try Descriptor.open(session.directory, O_RDONLY | BOX_O_DIRECTORY)
            let socket = try ControlSocket.make()
            try socket.setNonBlocking(true)
            guard unsafe box_connect_unix(socket.number, ControlSocket.path(in: place)) == 0 else { return }
            lines[session.name] = Line(socket: socket.release())
        } catch { return }
    }

    private func drop(_ name: String) {
        if let line = lines.removeValue(forKey: name) { close(line.socket) }
    }

    /// What to wait for.
    package var entries: [PollEntry] { lines.values.map { PollEntry($0.socket, .read) } }

    /// Takes the answers that have come; whether there was one.
    package func take(_ ready: [Ready]) -> Bool {
        let numbers = Set(ready.map(\.descriptor))
        var hasNews = false
        for (name, line) in lines where numbers.contains(line.socket) {
            guard let (bytes, descriptors) = (try? ControlSocket.receive(line.socket)) ?? nil else {
                drop(name)
                continue
            }
            for number in descriptors { close(number) }
            lines[name]?.asked = nil
            guard case .status(let status)? = try? ControlReply(wire: bytes) else { continue }
            lines[name]?.status = status
            hasNews = true
        }
        return hasNews
    }

    /// What a session has said last; nil if nothing, or if it has not answered for so many milliseconds.
    package func status(of name: String, now: Int, patience: Int) -> SessionStatus? {
        guard let line = lines[name], line.asked.map({ now - $0 < patience }) ?? true else { return nil }
        return line.status
    }

    /// Whether a session was asked so many milliseconds ago and has not answered.
    package func isSilent(_ name: String, now: Int, patience: Int) -> Bool {
        lines[name]?.asked.map { now - $0 >= patience } ?? false
    }
}
