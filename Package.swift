// swift-tools-version: 6.2
import PackageDescription

/// One set of rules for every Swift target: Swift 6, strict memory safety, warnings are errors.
let house: [SwiftSetting] = [
    .swiftLanguageMode(.v6), .strictMemorySafety(), .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"), .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]

// A target imports rows below its own, never upward or sideways.
let package = Package(
    name: "box",
    products: [
        .executable(name: "box", targets: ["box"]),
        .executable(name: "box-proxy", targets: ["box-proxy"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/LebJe/TOMLKit", from: "0.6.0"),
    ],
    targets: [
        // Row 0: C, as little as possible.
        .target(name: "CLinux"),
        .systemLibrary(name: "CSeccomp", pkgConfig: "libseccomp", providers: [.apt(["libseccomp-dev"])]),
        .systemLibrary(name: "CCap", pkgConfig: "libcap", providers: [.apt(["libcap-dev"])]),
        .systemLibrary(
            name: "CNetlink", pkgConfig: "libnl-route-3.0", providers: [.apt(["libnl-route-3-dev"])]),
        // Row 1: pure values and shipped data.
        .target(name: "BoxTypes", swiftSettings: house),
        .target(
            name: "BoxPolicy", dependencies: ["BoxTypes", .product(name: "TOMLKit", package: "TOMLKit")],
            swiftSettings: house),
        .target(
            name: "Profiles", path: "profiles", sources: ["Shipped.swift"],
            resources: [
                .embedInCode("base.toml"), .embedInCode("groups.toml"), .embedInCode("agents"),
                .embedInCode("seccomp"),
            ],
            swiftSettings: house),
        // Row 2: decisions | effects. Siblings: neither imports the other.
        .target(name: "BoxPlan", dependencies: ["BoxTypes", "BoxPolicy", "Profiles"], swiftSettings: house),
        .target(
            name: "BoxKernel", dependencies: ["BoxTypes", "CLinux", "CSeccomp", "CCap", "CNetlink"],
            swiftSettings: house),
        // Row 3
        .target(
            name: "BoxAudit",
            dependencies: ["BoxTypes", "BoxKernel", .product(name: "Crypto", package: "swift-crypto")],
            swiftSettings: house),
        .target(
            name: "BoxStage",
            dependencies: [
                "BoxTypes", "BoxKernel", "CLinux", .product(name: "Crypto", package: "swift-crypto"),
            ], swiftSettings: house),
        // Row 4
        .target(
            name: "BoxInit", dependencies: ["BoxTypes", "BoxPlan", "BoxKernel", "CLinux"],
            swiftSettings: house),
        .target(
            name: "BoxSession",
            dependencies: [
                "BoxTypes", "BoxPolicy", "BoxPlan", "BoxKernel", "BoxAudit", "BoxStage", "Profiles", "CLinux",
                .product(name: "Crypto", package: "swift-crypto"),
            ], swiftSettings: house),
        .target(
            name: "BoxProxy",
            dependencies: [
                "BoxTypes", "BoxKernel", "BoxAudit", "CLinux",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ], path: "proxy/Sources", swiftSettings: house),
        // Row 5: the command lines.
        .executableTarget(
            name: "box",
            dependencies: [
                "BoxTypes", "BoxPolicy", "BoxPlan", "BoxKernel", "BoxAudit", "BoxStage", "BoxInit",
                "BoxSession", "Profiles", .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ], swiftSettings: house),
        .executableTarget(
            name: "box-proxy", dependencies: ["BoxProxy"], path: "proxy/box-proxy", swiftSettings: house),
        // Tests: one folder per target; BoxTests is black box and runs the built binaries.
        .testTarget(name: "BoxTypesTests", dependencies: ["BoxTypes"], swiftSettings: house),
        .testTarget(
            name: "BoxPolicyTests", dependencies: ["BoxPolicy", "BoxTypes", "Profiles"], swiftSettings: house),
        .testTarget(
            name: "BoxPlanTests", dependencies: ["BoxPlan", "BoxPolicy", "BoxTypes", "Profiles"],
            swiftSettings: house),
        .testTarget(
            name: "BoxKernelTests", dependencies: ["BoxKernel", "BoxTypes", "BoxPlan", "Profiles", "CLinux"],
            swiftSettings: house),
        .testTarget(
            name: "BoxStageTests", dependencies: ["BoxStage", "BoxTypes", "BoxKernel", "CLinux"],
            swiftSettings: house),
        .testTarget(
            name: "BoxSessionTests",
            dependencies: ["BoxSession", "BoxAudit", "BoxPlan", "BoxPolicy", "BoxTypes", "BoxKernel"],
            swiftSettings: house),
        .testTarget(
            name: "BoxProxyTests", dependencies: ["BoxProxy", "BoxTypes"], path: "proxy/Tests",
            swiftSettings: house),
        .target(name: "CTesting", path: "Tests/CTesting"),
        .testTarget(name: "BoxTests", dependencies: ["CTesting"], swiftSettings: house),
    ]
)
