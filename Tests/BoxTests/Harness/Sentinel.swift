import CTesting
import Foundation

/// Something that listens on the host: nobody inside may reach it, and it knows whether anybody did.
final class Sentinel: Sendable {
    /// Where it listens.
    enum Place {
        case tcp(String)
        case path(String)
        case abstract(String)
    }

    let port: Int
    private let listener: Int32

    init(_ place: Place) throws {
        var number: Int32 = 0
        listener =
            switch place {
            case .tcp(let address): unsafe ct_listen_tcp(address, &number)
            case .path(let path): unsafe ct_listen_unix(path, 0)
            case .abstract(let name): unsafe ct_listen_unix(name, 1)
            }
        port = Int(number)
        guard listener >= 0 else {
            throw HarnessError(description: "cannot listen on \(place): errno \(errno)")
        }
    }

    deinit { close(listener) }

    /// How many have connected since the last time this was asked.
    func connections() -> Int {
        var count = 0
        while ct_reached(listener) != 0 { count += 1 }
        return count
    }
}
