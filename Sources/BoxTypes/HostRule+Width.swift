extension HostRule {
    /// Why a rule opens more than one party's hosts; nil if it does not. Who wants that all the same writes it into a
    /// policy file.
    package var widthRefusal: String? {
        if case .name(let name) = pattern, HostRule.metadata.contains(name.description) {
            return "\(short) is a cloud's metadata service, which gives out keys. No rule for a name opens it"
        }
        guard case .subdomains(let parent) = pattern else { return nil }
        let name = parent.description
        guard name.contains(".") else {
            return "\(short) is a whole top-level domain. Name the host, or *.example.\(name)"
        }
        guard HostRule.shared.contains(name) else { return nil }
        return "below \(name) everybody can have a host. Name the one that is needed"
    }

    /// Names of the address at which a cloud's machines get their own keys.
    private static let metadata: Set<String> = [
        "metadata.google.internal", "metadata.goog", "metadata.azure.internal", "instance-data.ec2.internal",
        "metadata.tencentyun.com",
    ]

    /// Domains below which anybody registers names or gets them from a provider: what an agent may send to one of these,
    /// it may send to anyone.
    private static let shared: Set<String> = [
        "ac.uk", "co.in", "co.jp", "co.kr", "co.nz", "co.uk", "co.za", "com.ar", "com.au", "com.br", "com.cn",
        "com.mx", "com.sg", "com.tr", "com.tw", "gov.uk", "me.uk", "ne.jp", "net.au", "net.cn", "or.jp",
        "org.au",
        "org.cn", "org.uk",
        "amazonaws.com", "appspot.com", "azureedge.net", "azurefd.net", "azurewebsites.net", "b-cdn.net",
        "blogspot.com", "cloudapp.net", "cloudfront.net", "cloudfunctions.net", "core.windows.net",
        "blob.core.windows.net", "deno.dev", "digitaloceanspaces.com", "edgesuite.net",
        "execute-api.us-east-1.amazonaws.com",
        "fastly.net", "firebaseapp.com", "firebaseio.com", "fly.dev", "github.io", "gitlab.io", "glitch.me",
        "googleapis.com", "googleusercontent.com", "herokuapp.com", "loca.lt", "myshopify.com", "netlify.app",
        "ngrok-free.app", "ngrok.app", "ngrok.io", "onrender.com", "pages.dev", "r2.cloudflarestorage.com",
        "r2.dev",
        "railway.app", "repl.co", "run.app", "s3.amazonaws.com", "storage.googleapis.com", "supabase.co",
        "trycloudflare.com", "vercel.app", "web.app", "wordpress.com", "workers.dev",
    ]
}
