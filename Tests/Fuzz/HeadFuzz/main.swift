import BoxTypes
import NIOCore
import ProxyParsers

/// Feeds arbitrary bytes to the reader of HTTP heads and of requests.
///
/// Beyond "does not crash": it does not matter in which pieces the bytes come; the target is one that is parsed from
/// its own text; and the head that would go to the origin server is one that this reader takes, with one Host, and
/// with no field about the connection to the proxy.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzHead(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let bytes = unsafe Array(UnsafeBufferPointer(start: start, count: count))
    let whole = read(bytes, pieces: count)
    precondition(read(bytes, pieces: 1) == whole)
    guard case .head(let head) = whole else { return 0 }
    do throws(RequestRefusal) {
        let request = try RequestHead(head)
        precondition(isParsedAgain(request.target))
        precondition((request.method == .connect) == request.path.isEmpty)
        if request.method != .connect { checkForwarded(request) }
    } catch {}
    return 0
}

private enum Outcome: Equatable {
    case more
    case head(MessageHead)
    case refused(HTTPRefusal)
}

private func read(_ bytes: [UInt8], pieces size: Int) -> Outcome {
    var reader = HeadReader()
    do throws(HTTPRefusal) {
        for start in stride(from: 0, to: bytes.count, by: max(size, 1)) {
            var buffer = ByteBuffer(bytes: bytes[start..<min(start + size, bytes.count)])
            if let head = try reader.read(&buffer) { return .head(head) }
            precondition(buffer.readableBytes == 0)
        }
        return .more
    } catch { return .refused(error) }
}

/// The head for the origin server means what was decided about, and nothing else.
private func checkForwarded(_ request: RequestHead) {
    let bytes = Array(request.serialized(to: request.target).readableBytesView)
    guard case .head(let head) = read(bytes, pieces: bytes.count) else {
        preconditionFailure("what is forwarded is not a head")
    }
    let line = head.startLine.split(separator: 0x20, omittingEmptySubsequences: false)
    precondition(line.count == 3 && line[1].elementsEqual(request.path.utf8) && line[1].first == 0x2F)
    let connectionOnly = ["connection", "host", "te", "trailer", "upgrade", "keep-alive"]
    for key in connectionOnly {
        let isWritten = key == "host" || key == "connection"
        precondition(head.fields.count { $0.key == key } == (isWritten ? 1 : 0), key)
    }
    precondition(!head.fields.contains { $0.key.hasPrefix("proxy-") })
    precondition(head.fields.count { ["content-length", "transfer-encoding"].contains($0.key) } <= 1)
    let host = head.fields.first { $0.key == "host" }
    let authority = String(decoding: host?.value ?? [], as: UTF8.self)
    do throws(HostRefusal) {
        let target = try HostTarget(authority: authority, defaultPort: .http)
        precondition(target == request.target)
    } catch { preconditionFailure(error.description) }
}

/// Whether the text of a target is parsed as that target.
private func isParsedAgain(_ target: HostTarget) -> Bool {
    do throws(HostRefusal) { return try HostTarget(authority: target.description) == target } catch {
        return false
    }
}
