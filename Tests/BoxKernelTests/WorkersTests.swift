import BoxKernel
import Synchronization
import Testing

@Suite struct WorkerThreads {
    private struct Refusal: Error, Equatable { let number: Int }

    @Test(arguments: [0, 1, 4, 16])
    func `each job is done once, and so are the jobs that jobs make`(_ threads: Int) throws {
        let done = Mutex<[Int]>([])
        try Workers<Int, Refusal>.run(threads: threads, room: 3) { job throws(Refusal) in
            done.withLock { $0.append(job) }
            return job >= 100 && job < 1000 ? [job * 10, job * 10 + 1] : []
        } feed: { add throws(Refusal) in
            for job in 0..<200 { #expect(add(job)) }
        }
        let made = (100..<200).flatMap { [$0 * 10, $0 * 10 + 1] }
        #expect(done.withLock { $0.sorted() } == Array(0..<200) + made)
    }

    @Test(arguments: [0, 1, 8])
    func `the first error ends everything and is thrown`(_ threads: Int) {
        let count = Mutex(0)
        #expect(throws: Refusal(number: 7)) {
            try Workers<Int, Refusal>.run(threads: threads, room: 2) { job throws(Refusal) in
                count.withLock { $0 += 1 }
                if job == 7 { throw Refusal(number: job) }
                return []
            } feed: { add throws(Refusal) in
                for job in 0..<1_000_000 where !add(job) { return }
                Issue.record("nobody said that it had ended")
            }
        }
        #expect(count.withLock { $0 } < 1000)
    }

    @Test(arguments: [0, 4])
    func `an error of whoever adds the jobs is thrown, when those that run have ended`(_ threads: Int) {
        let running = Mutex(0)
        #expect(throws: Refusal(number: 1)) {
            try Workers<Int, Refusal>.run(threads: threads) { _ throws(Refusal) in
                running.withLock { $0 += 1 }
                running.withLock { $0 -= 1 }
                return []
            } feed: { add throws(Refusal) in
                for job in 0..<50 { _ = add(job) }
                throw Refusal(number: 1)
            }
        }
        #expect(running.withLock { $0 } == 0)
    }

    @Test(arguments: [0, 4])
    func `whoever waits can end it without an error`(_ threads: Int) throws {
        let count = Mutex(0)
        // Work that never ends by itself: each job makes another.
        try Workers<Int, Refusal>.run(threads: threads, goOn: { count.withLock { $0 } < 1000 }) {
            job throws(Refusal) in
            count.withLock { $0 += 1 }
            return [job + 1]
        } feed: { add throws(Refusal) in
            for job in 0..<4 { _ = add(job) }
        }
        #expect(count.withLock { $0 } >= 1000)
    }
}
