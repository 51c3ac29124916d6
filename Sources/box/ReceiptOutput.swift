import BoxKernel
import BoxPlan
import BoxSession
import BoxTypes
import Glibc

/// The forms in which a run's receipt is wanted, beside that on the terminal.
struct ReceiptValues: Equatable {
    /// The file of `--receipt`.
    var file: String?
    /// Whether standard output is for one document about the run.
    var json = false
}

/// Where the receipt of a run goes. All places are had before anything runs.
struct ReceiptOutput: ~Copyable {
    private var file: ReportFile?
    /// What standard output was; the command's own goes to standard error meanwhile.
    private var document: Descriptor?

    /// Takes standard output for the document: from here on nothing else can be written there.
    init(_ values: ReceiptValues) throws {
        guard values.json else { return }
        do throws(KernelError) {
            document = Descriptor(owning: try check("fcntl", fcntl(1, F_DUPFD_CLOEXEC, 3)))
            try check("dup2", dup2(2, 1))
        } catch { throw Refusal("cannot keep standard output for --json: \(error)") }
    }

    /// Opens the place of the file; refused if nothing could be written there. No link is followed below what programs
    /// inside can write.
    mutating func open(_ values: ReceiptValues, _ plan: Plan) throws {
        guard let path = values.file else { return }
        guard let directory = WorkingDirectory.current else { throw Refusal("the working directory is gone") }
        do throws(SessionError) {
            file = try ReportFile(
                path, option: "--receipt",
                untrusted: [plan.project].compactMap(\.self) + plan.summary.writable,
                directory: directory)
        } catch { throw Refusal(error) }
    }

    /// Writes what is wanted; false, and the user is told, if something could not be written.
    borrowing func write(_ report: RunReport) -> Bool {
        var isWritten = true
        switch document {
        case .none: break
        case .some(let document):
            do throws(KernelError) {
                let isTerminal = Terminal.isTerminal(document.number)
                let text = report.json.pretty + "\n"
                try document.write(all: Array((isTerminal ? text.escapedInJSON : text).utf8))
            } catch {
                Output.error("cannot write the document of --json: \(error)")
                isWritten = false
            }
        }
        do throws(SessionError) { try file?.write(report.markdown) } catch {
            Output.error(error.description)
            isWritten = false
        }
        return isWritten
    }
}

extension String {
    /// JSON in which everything that a terminal would obey, or not show, is written as `\uXXXX`.
    var escapedInJSON: String {
        var out = ""
        for scalar in unicodeScalars {
            let text = String(scalar)
            // All of these are in the first plane.
            guard text.escapedForTerminal != text, scalar.value <= 0xFFFF, scalar != "\n" else {
                out.unicodeScalars.append(scalar)
                continue
            }
            let hex = String(scalar.value, radix: 16)
            out += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
        }
        return out
    }
}
