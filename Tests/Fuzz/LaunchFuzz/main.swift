import BoxTypes

/// Feeds arbitrary bytes to the reader of what process 1 of the sandbox gets, and of the messages after it.
///
/// Beyond "does not crash": what is accepted is written back to a form that is read as the same value.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzLaunch(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let bytes = unsafe Array(UnsafeBufferPointer(start: start, count: count))
    if let launch = try? Launch(wire: bytes) {
        let again = try? Launch(wire: launch.wire)
        precondition(again == launch)
    }
    if let report = try? InitReport(wire: bytes) {
        let again = try? InitReport(wire: report.wire)
        precondition(again == report)
    }
    if let order = try? InitOrder(wire: bytes) {
        let again = try? InitOrder(wire: order.wire)
        precondition(again == order)
    }
    return 0
}
