package import BoxKernel
internal import CLinux
package import NIOCore

/// How a connection leaves NIO without being closed.
///
/// A channel lends its descriptor for the length of a call (`withUnsafeTransportIfAvailable`). A duplicate of it is
/// the same connection; NIO then closes its own descriptor, which to the kernel is not the last one: no end and no
/// reset is sent, and what was written is delivered. What NIO has not read is still in the kernel, for the relay to
/// read.
///
/// So that nothing is lost or doubled, the caller, on the event loop and without leaving it in between,
/// 1. has stopped reading: `autoRead` is off and no `read()` was asked for after the last bytes that it got;
/// 2. has had everything written: the promise of the last write on each channel has succeeded. A channel that is
///    closed drops what it still holds;
/// 3. passes on as `early` what it holds itself;
/// 4. takes both channels with `take`, and makes its handlers deaf first: their channels become inactive.
package enum Handover {
    /// Why a channel was not taken; it is as it was.
    package enum Failure: Error, Equatable {
        /// It has no socket: it is closed, or it is no socket's channel.
        case noSocket
        case noDescriptor(KernelError)
    }

    /// Takes the connection out of a channel, which is closed. The descriptor is the
    /// caller's, who gives it to the relay.
    package static func take(_ channel: any NIOCore.Channel) throws(Failure) -> CInt {
        let duplicate: CInt
        do {
            let number = try channel.pipeline.syncOperations.withUnsafeTransportIfAvailable(
                of: NIOBSDSocket.Handle.self
            ) { box_fcntl_dupfd_cloexec($0, 0) }
            guard let number else { throw Failure.noSocket }
            duplicate = try check("fcntl(F_DUPFD_CLOEXEC)", number)
        } catch let error as KernelError { throw .noDescriptor(error) } catch { throw .noSocket }
        channel.close(promise: nil)
        return duplicate
    }
}
