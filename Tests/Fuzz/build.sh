#!/bin/sh
# Builds the libFuzzer programs into a folder as fuzz-NAME; their seeds are in Tests/Fuzz/seeds/NAME.
# usage: Tests/Fuzz/build.sh FOLDER     (make fuzz builds and runs them, bounded)
set -eu
mkdir -p "$1"
out=$(cd "$1" && pwd)
cd "$(dirname "$0")/../.."
swift="swiftc -O -g -swift-version 6 -package-name box -parse-as-library -sanitize=fuzzer,address
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
    Sources/BoxPlan/Step.swift Sources/BoxPlan/Step+Wire.swift Tests/Fuzz/LaunchFuzz/main.swift
