#if DEBUG
    internal import Glibc

    /// One protection that a debug build leaves out, so that tests can show that they notice. A release build has no
    /// such code.
    package enum Mutation {
        /// The variable by which box's processes tell each other.
        package static let variable = "BOX_DROPPED_LAYER"

        /// Whether this layer is left out.
        package static func drops(_ layer: String) -> Bool { dropped == layer }

        /// The layer that is left out, if any. Read once: the first process of a sandbox has no environment.
        package static let dropped: String? = unsafe getenv(variable).map { unsafe String(cString: $0) }

        /// Leaves a layer out, in this process and those that it starts. Before anything asks.
        package static func drop(_ layer: String) {
            unsafe setenv(variable, layer, 1)
            precondition(dropped == layer)
        }

        /// The environment of box's own processes.
        package static var environment: [String] { dropped.map { ["\(variable)=\($0)"] } ?? [] }
    }
#endif
