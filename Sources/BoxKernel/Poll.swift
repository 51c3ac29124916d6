internal import Glibc

/// What `poll(2)` is asked for, or found.
package struct PollEvents: OptionSet, Hashable, Sendable {
    package let rawValue: Int16
    package init(rawValue: Int16) { self.rawValue = rawValue }
    /// The library's own is generic, which costs microseconds each time.
    package init(arrayLiteral all: PollEvents...) { rawValue = all.reduce(0) { $0 | $1.rawValue } }

    /// There is something to read, or the end of the file.
    package static let read = PollEvents(rawValue: Int16(POLLIN))
    /// Something can be written.
    package static let write = PollEvents(rawValue: Int16(POLLOUT))
    /// An error, or a pipe that nobody reads any more; found without asking.
    package static let error = PollEvents(rawValue: Int16(POLLERR))
    /// The other end is closed; found without asking.
    package static let hangup = PollEvents(rawValue: Int16(POLLHUP))
    /// The descriptor is not open; found without asking.
    package static let invalid = PollEvents(rawValue: Int16(POLLNVAL))
}

/// One descriptor to wait for. Without events only errors, hang-ups and bad descriptors are found.
package struct PollEntry: Hashable, Sendable {
    package var descriptor: CInt
    package var events: PollEvents

    package init(_ descriptor: CInt, _ events: PollEvents) {
        self.descriptor = descriptor
        self.events = events
    }
}

/// One entry that something happened to.
package struct Ready: Hashable, Sendable {
    /// The entry's place in the list that was asked for.
    package let index: Int
    package let descriptor: CInt
    package let events: PollEvents

    package init(index: Int, descriptor: CInt, events: PollEvents) {
        self.index = index
        self.descriptor = descriptor
        self.events = events
    }
}

/// Waits until something happens to one of the entries, or for `timeout` milliseconds (nil: forever).
///
/// The result is in the entries' order. It is empty when the time is over, and also when a signal handler
/// ran: the caller goes round its loop and computes its time again.
package func poll(_ entries: [PollEntry], timeout: Int? = nil) throws(KernelError) -> [Ready] {
    var list = entries.map { pollfd(fd: $0.descriptor, events: $0.events.rawValue, revents: 0) }
    let limit = timeout.map { CInt(clamping: max($0, 0)) } ?? -1
    let count = unsafe Glibc.poll(&list, nfds_t(list.count), limit)
    if count < 0 {
        let code = errno
        if code == EINTR { return [] }
        throw KernelError(call: "poll", code: code)
    }
    if count == 0 { return [] }
    var ready: [Ready] = []
    for (index, entry) in list.enumerated() where entry.revents != 0 {
        let events = PollEvents(rawValue: entry.revents)
        ready.append(Ready(index: index, descriptor: entry.fd, events: events))
    }
    return ready
}
