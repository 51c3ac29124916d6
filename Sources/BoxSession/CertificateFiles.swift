internal import BoxKernel
internal import BoxPlan
internal import BoxTypes
internal import Glibc

/// The files of certificates that are trusted inside, where the policy adds some (`network.ca`).
enum CertificateFiles {
    /// Where distributions keep all certificates in one file.
    private static let bundles = [
        "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem",
    ]
    /// What of these is visible inside, when links are resolved.
    private static let visible = ["/etc/ssl/certs/", "/etc/pki/tls/", "/etc/pki/ca-trust/", "/usr/"]
    private static let largestExtra = 1 << 20
    private static let largestBundle = 4 << 20

    /// Reads the user's file and the host's bundle.
    static func read(_ text: String, home: AbsolutePath) throws(SessionError) -> HostFacts.Certificates {
        let step = "use the certificates of \(text.escapedForTerminal)"
        let path: AbsolutePath
        do throws(PlanError) { path = try Planner.expand(text, home: home) } catch {
            throw SessionError(step: step, reason: "\(error)")
        }
        let extra: String
        do throws(KernelError) {
            let file = try Descriptor.open(path.string, O_RDONLY | O_NONBLOCK)
            guard try FileStatus.of(file.number).kind == .file else {
                throw KernelError(call: "open", code: EINVAL, subject: "what is no file")
            }
            extra = try CertificateFiles.content(of: file, limit: largestExtra)
        } catch { throw SessionError(step: step, error) }
        guard extra.contains("-----BEGIN CERTIFICATE-----"), !extra.contains("\0") else {
            throw SessionError(
                step: step,
                reason: "it has no certificate in PEM (-----BEGIN CERTIFICATE-----). Convert it: "
                    + "openssl x509 -inform DER -in FILE")
        }
        guard !extra.contains("PRIVATE KEY-----") else {
            throw SessionError(
                step: step,
                reason: "it has a private key, which would be readable inside. Name a file without one")
        }
        return try withBundle(extra.hasSuffix("\n") ? extra : extra + "\n", step)
    }

    private static func withBundle(
        _ extra: String, _ step: String
    ) throws(SessionError) -> HostFacts.Certificates {
        var certificates = HostFacts.Certificates(extra: extra, bundle: "", places: [])
        for bundle in bundles {
            let place: Descriptor
            do throws(KernelError) { place = try Descriptor.open(bundle, O_RDONLY) } catch {
                // Each distribution has one or two of these.
                if error.code == ENOENT || error.code == ENOTDIR { continue }
                throw SessionError(step: step, error)
            }
            guard let real = SmallFile.readLink("/proc/self/fd/\(place.number)"),
                let path = try? AbsolutePath(real)
            else { throw SessionError(step: step, reason: "the path of \(bundle) cannot be found") }
            if certificates.bundle.isEmpty {
                do throws(KernelError) {
                    certificates.bundle = try content(of: place, limit: largestBundle)
                } catch {
                    throw SessionError(step: step, error)
                }
                if !certificates.bundle.hasSuffix("\n") { certificates.bundle += "\n" }
            }
            guard visible.contains(where: { real.hasPrefix($0) }), !certificates.places.contains(path) else {
                continue
            }
            certificates.places.append(path)
        }
        return certificates
    }

    private static func content(of file: borrowing Descriptor, limit: Int) throws(KernelError) -> String {
        String(decoding: try file.readAll(limit: limit), as: UTF8.self)
    }
}
