import ArgumentParser

/// The options that `run`, `shell` and `plan` share: the command line's layer of the policy.
struct SandboxOptions: ParsableArguments {
    @Option(help: ArgumentHelp("A name for the session.", valueName: "name"))
    var name: String?

    @Option(
        name: [.customShort("C"), .long],
        help: ArgumentHelp("The project; the working directory otherwise.", valueName: "directory"))
    var project: String?

    @Option(help: ArgumentHelp("Use this agent's profile and home for another command.", valueName: "name"))
    var agent: String?

    @Option(
        help: ArgumentHelp(
            "The agent's login, the first time: import (copy the user's own), fresh or none.",
            valueName: "how"))
    var login: String?

    @Flag(help: "Let the agent change its settings in this session; otherwise they are read-only.")
    var setup = false

    @Option(help: ArgumentHelp("A policy file of yours, above the project's.", valueName: "file"))
    var policy: String?

    @Option(
        help: ArgumentHelp(
            "How the project appears inside: overlay (a view that is reviewed), direct, copy or none.",
            valueName: "mode"))
    var workspace: String?

    @Option(
        help: ArgumentHelp(
            "Names of the project that are absent inside: .env, **/*.pem.", valueName: "pattern"))
    var hide: [String] = []

    @Option(
        help: ArgumentHelp("With --workspace copy: copy only this part of the project.", valueName: "path"))
    var only: [String] = []

    @Option(help: ArgumentHelp("The network: proxy or none.", valueName: "mode"))
    var net: String?

    @Option(help: ArgumentHelp("Allow a host: HOST[:PORT], *.DOMAIN, an address.", valueName: "host"))
    var allow: [String] = []

    @Option(
        help: ArgumentHelp(
            "Deny a host: HOST[:PORT]. Stronger than any rule that allows it.", valueName: "host"))
    var deny: [String] = []

    @Option(
        help: ArgumentHelp(
            "Bound the network of the session, for example upload=200MB or connections=1000.",
            valueName: "key=value"))
    var netLimit: [String] = []

    @Option(
        help: ArgumentHelp(
            "What is special about a host: NAME=raw, NAME=private, NAME=upload=10MB.",
            valueName: "name=setting"))
    var host: [String] = []

    @Option(help: ArgumentHelp("If the network proxy dies: continue or end.", valueName: "mode"))
    var onProxyFailure: String?

    @Option(
        help: ArgumentHelp(
            "A refused connection waits so long for box allow before it fails.", valueName: "seconds"))
    var hold: String?

    @Option(
        help: ArgumentHelp(
            "Reach everything through this proxy: http://[USER:PASSWORD@]HOST:PORT.", valueName: "url"))
    var upstreamProxy: String?

    @Option(help: ArgumentHelp("Trust the certificates of this file as well.", valueName: "file"))
    var ca: String?

    @Option(
        help: ArgumentHelp(
            "Let the host reach a port inside: PORT, or HOSTPORT:PORT.", valueName: "port"))
    var publish: [String] = []

    @Option(help: ArgumentHelp("Let a host path in, read-only.", valueName: "path"))
    var read: [String] = []

    @Option(help: ArgumentHelp("Let a host path in, writable.", valueName: "path"))
    var write: [String] = []

    @Option(help: ArgumentHelp("Pass a variable, or set it: NAME or NAME=VALUE.", valueName: "name"))
    var env: [String] = []

    @Option(help: ArgumentHelp("Memory, for example 4GB or 50%.", valueName: "size"))
    var memory: String?

    @Option(help: ArgumentHelp("CPUs' worth of time, for example 1.5.", valueName: "count"))
    var cpus: String?

    @Option(help: ArgumentHelp("Processes and threads at most.", valueName: "count"))
    var pids: String?

    @Option(help: ArgumentHelp("What changes to the staged project may take.", valueName: "size"))
    var disk: String?

    @Option(help: ArgumentHelp("End the command after this time, for example 90s or 2h.", valueName: "time"))
    var timeout: String?

    @Option(
        help: ArgumentHelp("When time or disk is used up: end, or pause until box resume.", valueName: "what")
    )
    var onExceeded: String?

    @Option(
        help: ArgumentHelp(
            "The system call profile: default, strict, nested or a path to a file.", valueName: "profile"))
    var syscalls: String?

    @Option(
        help: ArgumentHelp(
            "What the session's log has: off, network, or full with every program that starts.",
            valueName: "level"))
    var audit: String?

    @Option(help: ArgumentHelp("Run although this protection is missing.", valueName: "protection"))
    var accept: [String] = []

    @Flag(help: "At the end, print the policy that would have allowed what was refused.")
    var learn = false

    @Option(help: ArgumentHelp("Like --learn, into a new file.", valueName: "file"))
    var learnTo: String?

    /// The values, without the parser.
    var values: OptionValues {
        OptionValues(
            name: name, project: project, agent: agent, login: login, policy: policy, setup: setup,
            workspace: workspace, hide: hide, only: only, net: net,
            allow: allow, deny: deny,
            netLimit: netLimit, host: host, onProxyFailure: onProxyFailure, hold: hold,
            upstreamProxy: upstreamProxy, ca: ca, publish: publish,
            read: read,
            write: write, env: env, memory: memory, cpus: cpus, pids: pids, disk: disk,
            timeout: timeout, onExceeded: onExceeded,
            syscalls: syscalls, audit: audit,
            accept: accept, learn: learn, learnTo: learnTo)
    }
}
