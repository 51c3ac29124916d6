/// By which way a program reached the door; the raw values are the event format's.
package enum Via: String, Sendable {
    case connect
    case http
    case socks
    case transparent
    case dns
    /// From the host to a server inside.
    case publish
}
