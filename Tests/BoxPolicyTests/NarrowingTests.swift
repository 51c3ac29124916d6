import BoxPolicy
import BoxTypes
import Testing

/// The laws of taking from a layer only what tightens, over many layers that a seed decides.
struct NarrowingLawTests {
    /// A policy of some layers, and the generator for more.
    private struct Case {
        var samples: LayerSamples
        var lower: Policy
    }

    private static let seeds = 0..<2000
    /// Where each seed takes long.
    private static let fewer = 0..<700

    private func sample(
        _ seed: Int, nestedHosts: Bool = true, exceptions: Bool = true, onlyMeets: Bool = false
    ) throws -> Case {
        var samples = LayerSamples(UInt64(seed))
        samples.nestedHosts = nestedHosts
        samples.exceptions = exceptions
        samples.onlyMeets = onlyMeets
        var layers: [PolicyLayer] = []
        for _ in 0..<samples.below(4) { layers.append(try samples.layer()) }
        return Case(samples: samples, lower: Policy(merging: layers))
    }

    private func meanSame(_ one: Policy, _ two: Policy, ram: Int? = nil) -> Bool {
        one.widenings(over: two, ram: ram).isEmpty && two.widenings(over: one, ram: ram).isEmpty
    }

    /// With the memory's size and without: both are ways to ask.
    private func ram(_ seed: Int) -> Int? { seed.isMultiple(of: 2) ? Powers.ram : nil }

    @Test func `a narrowed policy is never wider`() throws {
        for seed in Self.seeds {
            var one = try sample(seed)
            var narrowed = one.lower
            _ = narrowed.narrow(by: try one.samples.layer(), ram: ram(seed))
            #expect(narrowed.widenings(over: one.lower, ram: ram(seed)).isEmpty, "seed \(seed)")
            #expect(Powers(narrowed).isWithin(Powers(one.lower)), "seed \(seed)")
        }
    }

    @Test func `the same layer again changes nothing, and wants what it wanted`() throws {
        for seed in Self.seeds {
            var one = try sample(seed, nestedHosts: false)
            let layer = try one.samples.layer()
            var (once, again) = (one.lower, one.lower)
            let first = once.narrow(by: layer, ram: ram(seed))
            #expect(again.narrow(by: layer, ram: ram(seed)) == first, "seed \(seed)")
            again = once
            #expect(again.narrow(by: layer, ram: ram(seed)) == first, "seed \(seed)")
            let isSame = again == once
            #expect(isSame, "seed \(seed)")
        }
    }

    @Test func `the same layer again wants no more where tables of hosts lie within others`() throws {
        for seed in Self.seeds {
            var one = try sample(seed)
            let layer = try one.samples.layer()
            var once = one.lower
            let first = once.narrow(by: layer)
            var again = once
            let second = again.narrow(by: layer)
            let isSame = again == once
            #expect(isSame, "seed \(seed)")
            #expect(Set(second).isSubset(of: first), "seed \(seed)")
            // What a table opened by being more exact, it opens no more.
            let gone = Set(first).subtracting(second)
            #expect(gone.allSatisfy { $0.path.starts(with: ["network", "hosts"]) }, "seed \(seed)")
        }
    }

    @Test func `two layers may come in either order`() throws {
        for seed in Self.fewer {
            var one = try sample(seed, nestedHosts: false, onlyMeets: true)
            let (left, right) = (try one.samples.layer(), try one.samples.layer())
            var (leftFirst, rightFirst) = (one.lower, one.lower)
            _ = leftFirst.narrow(by: left, ram: Powers.ram)
            _ = leftFirst.narrow(by: right, ram: Powers.ram)
            _ = rightFirst.narrow(by: right, ram: Powers.ram)
            _ = rightFirst.narrow(by: left, ram: Powers.ram)
            #expect(meanSame(leftFirst, rightFirst, ram: Powers.ram), "seed \(seed)")
            #expect(Powers(leftFirst) == Powers(rightFirst), "seed \(seed)")
        }
    }

    @Test func `a layer that widens nothing counts as if it were trusted`() throws {
        var harmless = 0
        for seed in Self.seeds {
            var one = try sample(seed)
            let layer = try one.samples.layer()
            var narrowed = one.lower
            guard narrowed.narrow(by: layer, ram: ram(seed)).isEmpty else { continue }
            harmless += 1
            let merged = one.lower.merging([layer])
            #expect(meanSame(narrowed, merged, ram: ram(seed)), "seed \(seed)")
            #expect(Powers(narrowed) == Powers(merged), "seed \(seed)")
        }
        #expect(harmless > 200)
    }

    @Test func `a layer widens exactly if the policy with it is wider`() throws {
        var (wider, harmless) = (0, 0)
        for seed in Self.seeds {
            // An exception is given back whether it shows anything or not.
            var one = try sample(seed, exceptions: false)
            let layer = try one.samples.layer()
            var narrowed = one.lower
            let wishes = narrowed.narrow(by: layer, ram: ram(seed))
            let more = one.lower.merging([layer]).widenings(over: one.lower, ram: ram(seed))
            #expect(
                wishes.isEmpty == more.isEmpty, "seed \(seed): \(wishes.map(\.text)), \(more.map(\.text))")
            if wishes.isEmpty { harmless += 1 } else { wider += 1 }
        }
        #expect(wider > 200 && harmless > 200)
    }

    @Test func `what an exception shows is given back`() throws {
        for seed in Self.seeds {
            var one = try sample(seed)
            let layer = try one.samples.layer()
            var narrowed = one.lower
            let wishes = narrowed.narrow(by: layer, ram: ram(seed))
            let more = one.lower.merging([layer]).widenings(over: one.lower, ram: ram(seed))
            #expect(!wishes.isEmpty || more.isEmpty, "seed \(seed): \(more.map(\.text))")
            let exceptions = one.lower.workspace.hide.filter(\.isException)
            #expect(narrowed.workspace.hide.filter(\.isException) == exceptions, "seed \(seed)")
        }
    }

    @Test func `no more is permitted where no widening is seen`() throws {
        var (narrower, wider) = (0, 0)
        for seed in Self.fewer {
            var one = try sample(seed)
            let (layer, other) = (try one.samples.layer(), try one.samples.layer())
            let merged = one.lower.merging([other])
            var narrowed = one.lower
            _ = narrowed.narrow(by: layer)
            let apart = (Policy(merging: [layer]), Policy(merging: [other]))
            for pair in [(one.lower, narrowed), (narrowed, merged), (merged, one.lower), apart] {
                let isWithin = Powers(pair.0).isWithin(Powers(pair.1))
                if pair.0.widenings(over: pair.1, ram: ram(seed)).isEmpty {
                    narrower += 1
                    #expect(isWithin, "seed \(seed)")
                } else if !isWithin {
                    wider += 1
                }
            }
        }
        #expect(narrower > 500 && wider > 500)
    }

    @Test func `every policy is as wide as itself, and what is within what is within is within`() throws {
        var chains = 0
        for seed in Self.fewer {
            var one = try sample(seed)
            let top = one.lower
            var middle = top
            _ = middle.narrow(by: try one.samples.layer())
            var bottom = middle
            _ = bottom.narrow(by: try one.samples.layer())
            let other = top.merging([try one.samples.layer()])
            let all = [top, middle, bottom, other]
            for policy in all { #expect(policy.widenings(over: policy).isEmpty, "seed \(seed)") }
            for a in all {
                for b in all where a != b && a.widenings(over: b).isEmpty {
                    for c in all where b != c && b.widenings(over: c).isEmpty {
                        chains += 1
                        #expect(a.widenings(over: c).isEmpty, "seed \(seed)")
                    }
                }
            }
        }
        #expect(chains > 300)
    }

    @Test func `what a layer denies is closed, and what is denied stays so`() throws {
        for seed in Self.seeds {
            var one = try sample(seed)
            let layer = try one.samples.layer()
            var narrowed = one.lower
            _ = narrowed.narrow(by: layer)
            let denied = Set(narrowed.network.deny)
            #expect(denied == Set(one.lower.network.deny + layer.network.deny), "seed \(seed)")
            #expect(denied.isDisjoint(with: narrowed.network.allow), "seed \(seed)")
            #expect(Set(narrowed.network.allow).isSubset(of: one.lower.network.allow), "seed \(seed)")
        }
    }

    @Test func `a layer that says nothing changes nothing`() throws {
        for seed in Self.seeds {
            let lower = try sample(seed).lower
            var narrowed = lower
            #expect(narrowed.narrow(by: PolicyLayer(name: "empty")).isEmpty)
            let isSame = narrowed == lower
            #expect(isSame, "seed \(seed)")
        }
    }
}
