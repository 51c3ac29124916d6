import BoxStage
import BoxTypes
import Glibc

/// The line on the terminal that says how far a copy of the project is.
struct CopyLine {
    private let isShown = isatty(2) == 1

    /// Shows it; the copy goes on.
    func show(_ progress: CopyProgress) -> Bool {
        guard isShown else { return true }
        let retries = progress.retries > 0 ? ", \(progress.retries) calls made again" : ""
        // Over the line before; the card comes on a line of its own.
        Output.raw(
            "\r\u{1B}[Kbox: copying the project: \(progress.files) files, \(ByteSize(bytes: progress.bytes))"
                + "\(retries)\r")
        return true
    }

    /// Takes it away.
    func clear() {
        if isShown { Output.raw("\u{1B}[K") }
    }
}
