#!/bin/sh
# Builds the libFuzzer programs into a folder as fuzz-NAME; their seeds are in Tests/Fuzz/seeds/NAME.
# usage: Tests/Fuzz/build.sh FOLDER     (make fuzz builds and runs them, bounded)
set -eu
mkdir -p "$1"
out=$(cd "$1" && pwd)
cd "$(dirname "$0")/../.."
swift="swiftc -O -g -swift-version 6 -package-name box -parse-as-library -sanitize=fuzzer,address -use-ld=lld
    -enable-upcoming-feature InternalImportsByDefault -enable-upcoming-feature MemberImportVisibility
    -strict-memory-safety"
modules=$out/modules
mkdir -p "$modules"

# The lower layer as a module of its own; the layer under test goes into one module with the entry point.
types=$(echo Sources/BoxTypes/*.swift)
# Lists of words, split on purpose.
# shellcheck disable=SC2086
$swift -module-name BoxTypes -emit-module -emit-module-path "$modules/BoxTypes.swiftmodule" \
    -emit-library -static -o "$modules/libBoxTypes.a" $types

# shellcheck disable=SC2086
$swift -module-name SyscallProfileFuzz -I "$modules" -L "$modules" -lBoxTypes -o "$out/fuzz-seccomp" \
    Sources/BoxPlan/ErrnoTable.swift Sources/BoxPlan/SyscallTable.swift \
    Sources/BoxPlan/SyscallProfile.swift Sources/BoxPlan/SyscallProfile+Reader.swift \
    Sources/BoxPlan/SyscallProfile+Nodes.swift Tests/Fuzz/SyscallProfileFuzz/main.swift

# shellcheck disable=SC2086
$swift -module-name LaunchFuzz -I "$modules" -L "$modules" -lBoxTypes -o "$out/fuzz-launch" \
    Sources/BoxPlan/Launch.swift Sources/BoxPlan/Plan.swift Sources/BoxPlan/Plan+Wire.swift \
    Sources/BoxPlan/Step.swift Sources/BoxPlan/Step+Wire.swift Sources/BoxPlan/ListenedCalls.swift \
    Sources/BoxPlan/ProgramReport.swift Sources/BoxPlan/Execution.swift Tests/Fuzz/LaunchFuzz/main.swift

# What box-proxy reads from programs inside: one instrumented module, and an entry point for each reader. The
# buffers are NIO's, whose modules and objects are those of the release build; what of them is inlined into the
# readers is instrumented with these.
release=.build-proxy/release
[ -e "$release/Modules/NIOCore.swiftmodule" ] || {
    echo "Tests/Fuzz/build.sh: $release/Modules/NIOCore.swiftmodule is missing: run 'make build' first" >&2
    exit 1
}
rm -f "$modules/libNIO.a"
# q and not r: several of the objects have the same name.
find "$release/" -path "$release/NIO*.build/*.o" -o -path "$release/_NIO*.build/*.o" \
    -o -path "$release/CNIO*.build/*.o" -o -path "$release/*Atomics*.build/*.o" \
    -o -path "$release/DequeModule.build/*.o" -o -path "$release/ContainersPreview.build/*.o" \
    -o -path "$release/InternalCollectionsUtilities.build/*.o" | tr '\n' '\0' | xargs -0 ar qcS "$modules/libNIO.a"
ranlib "$modules/libNIO.a"
nio="-I $release/Modules -I .build-proxy/checkouts/swift-atomics/Sources/_AtomicsShims/include"
for map in "$release"/CNIO*.build/module.modulemap; do nio="$nio -Xcc -fmodule-map-file=$map"; done

# The instrumented BoxTypes is found first; the release build has its own.
# shellcheck disable=SC2086
$swift -I "$modules" $nio -module-name ProxyParsers -emit-module \
    -emit-module-path "$modules/ProxyParsers.swiftmodule" -emit-library -static \
    -o "$modules/libProxyParsers.a" proxy/Sources/MessageHead.swift proxy/Sources/Body.swift \
    proxy/Sources/RequestHead.swift proxy/Sources/Via.swift proxy/Sources/ClientHello.swift \
    proxy/Sources/SocksReader.swift proxy/Sources/DNSMessage.swift proxy/Sources/DNSResponder.swift \
    proxy/Sources/FakeNames.swift

for target in HeadFuzz SocksFuzz DNSFuzz HelloFuzz; do
    name=$(echo "${target%Fuzz}" | tr '[:upper:]' '[:lower:]')
    # shellcheck disable=SC2086
    $swift -I "$modules" $nio -module-name "$target" -L "$modules" -o "$out/fuzz-$name" \
        "Tests/Fuzz/$target/main.swift" -lProxyParsers -lBoxTypes -lNIO
done
