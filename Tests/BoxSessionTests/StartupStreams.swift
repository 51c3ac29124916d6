import Testing

/// What full-screen programs wrote to an 80 × 24 terminal (`TERM=xterm-256color`) that answered their
/// queries, from start to end, showing a file of numbered lines.
struct StartupStream: CustomTestStringConvertible, Sendable {
    let testDescription: String
    private let text: [String]
    var bytes: [UInt8] { Array(text.joined().utf8) }

    static let all = [vim, less, tmux]

    private static let vim = StartupStream(
        testDescription: "vim 9.0",
        text: [
            "\u{1B}[?1006;1000h\u{1B}[?1002h\u{1B}[?1049h\u{1B}[22;0;0t\u{1B}[>4;2m\u{1B}[?1h\u{1B}=",
            "\u{1B}[?2004h\u{1B}[?1004h\u{1B}[1;24r\u{1B}[?12h\u{1B}[?12l\u{1B}[22;2t\u{1B}[22;1t\u{1B}[2",
            "7m\u{1B}[23m\u{1B}[29m\u{1B}[m\u{1B}[H\u{1B}[2J\u{1B}[?25l\u{1B}[24;1H\"words\" 59L, 994B",
            "\u{1B}[2;1H▽\u{1B}[6n\u{1B}[2;1H  \u{1B}[3;1H\u{1B}Pzz\u{1B}\\\u{1B}[0%m\u{1B}[6n\u{1B}[3;1H",
            "           \u{1B}[1;1H\u{1B}[>c\u{1B}P+q436f\u{1B}\\\u{1B}P+q6b75\u{1B}\\\u{1B}P+q6b64\u{1B}",
            "\\\u{1B}P+q6b72\u{1B}\\\u{1B}P+q6b6c\u{1B}\\\u{1B}P+q2332\u{1B}\\\u{1B}P+q2334\u{1B}\\\u{1B}",
            "P+q2569\u{1B}\\\u{1B}P+q2a37\u{1B}\\\u{1B}P+q6b31\u{1B}\\\u{1B}]10;?\u{7}\u{1B}]11;?\u{7}",
            "\u{1B}[27m\u{1B}[23m\u{1B}[29m\u{1B}[m\u{1B}[H\u{1B}[2J\u{1B}[1;1Hline 1 of words\r\nline 2 ",
            "of words\r\nline 3 of words\r\nline 4 of words\r\nline 5 of words\r\nline 6 of words\r\nline",
            " 7 of words\r\nline 8 of words\r\nline 9 of words\r\nline 10 of words\r\nline 11 of words\r",
            "\nline 12 of words\r\nline 13 of words\r\nline 14 of words\r\nline 15 of words\r\nline 16 of",
            " words\r\nline 17 of words\r\nline 18 of words\r\nline 19 of words\r\nline 20 of words\r\nli",
            "ne 21 of words\r\nline 22 of words\r\nline 23 of words\u{1B}[24;63H1,1\u{1B}[11CTop\r\"words",
            "\" 59L, 994B\u{1B}[45C   \u{1B}[11C   \u{1B}[1;1H\u{1B}[?25h\u{1B}[?4m\u{1B}[?25l\u{1B}[24;1",
            "H\u{1B}[1m-- INSERT --\u{1B}[m\u{1B}[24;14H\u{1B}[K\u{1B}[24;63H1,1\u{1B}[11CTop\u{1B}[24;1H",
            "\u{1B}[K\u{1B}[1;5H\rhelloline 1 of words\u{1B}[24;1H\u{1B}[1m-- INSERT --\u{1B}[m\u{1B}[50C",
            "1,6\u{1B}[11CTop\u{1B}[1;6H\u{1B}[24;53H^[\u{1B}[1;5H\u{1B}[24;53H  \u{1B}[1;6H\u{1B}[24;1H",
            "\u{1B}[K\u{1B}[24;63H1,5\u{1B}[11CTop\u{1B}[1;5H\u{1B}[?25h\u{1B}[?25l\u{1B}[24;63H\u{1B}[K",
            "\u{1B}[24;1H:q!\r\u{1B}[?1006;1000l\u{1B}[?1002l\u{1B}[?2004l\u{1B}[>4;m\u{1B}[23;2t\u{1B}[2",
            "3;1t\u{1B}[24;1H\u{1B}[K\u{1B}[24;1H\u{1B}[?1004l\u{1B}[?2004l\u{1B}[?1l\u{1B}>\u{1B}[?1049l",
            "\u{1B}[23;0;0t\u{1B}[?25h\u{1B}[>4;m",
        ])

    private static let less = StartupStream(
        testDescription: "less 590",
        text: [
            "\u{1B}[?1049h\u{1B}[22;0;0t\u{1B}[?1h\u{1B}=\rline 1 of words\r\nline 2 of words\r\nline 3 o",
            "f words\r\nline 4 of words\r\nline 5 of words\r\nline 6 of words\r\nline 7 of words\r\nline ",
            "8 of words\r\nline 9 of words\r\nline 10 of words\r\nline 11 of words\r\nline 12 of words\r",
            "\nline 13 of words\r\nline 14 of words\r\nline 15 of words\r\nline 16 of words\r\nline 17 of",
            " words\r\nline 18 of words\r\nline 19 of words\r\nline 20 of words\r\nline 21 of words\r\nli",
            "ne 22 of words\r\nline 23 of words\r\n\u{1B}[7mwords\u{1B}[27m\u{1B}[K\r\u{1B}[Kline 24 of w",
            "ords\r\nline 25 of words\r\nline 26 of words\r\nline 27 of words\r\nline 28 of words\r\nline",
            " 29 of words\r\nline 30 of words\r\nline 31 of words\r\nline 32 of words\r\nline 33 of words",
            "\r\nline 34 of words\r\nline 35 of words\r\nline 36 of words\r\nline 37 of words\r\nline 38 ",
            "of words\r\nline 39 of words\r\nline 40 of words\r\nline 41 of words\r\nline 42 of words\r\n",
            "line 43 of words\r\nline 44 of words\r\nline 45 of words\r\nline 46 of words\r\n:\u{1B}[K\r",
            "\u{1B}[K\u{1B}[?1l\u{1B}>\u{1B}[?1049l\u{1B}[23;0;0t",
        ])

    private static let tmux = StartupStream(
        testDescription: "tmux 3.3",
        text: [
            "\u{1B}[?1049h\u{1B}[22;0;0t\u{1B}[?1h\u{1B}=\u{1B}[H\u{1B}[2J\u{1B}[?12l\u{1B}[?25h\u{1B}[?1",
            "000l\u{1B}[?1002l\u{1B}[?1003l\u{1B}[?1006l\u{1B}[?1005l\u{1B}(B\u{1B}[m\u{1B}[?12l\u{1B}[?2",
            "5h\u{1B}[?1006l\u{1B}[?1000l\u{1B}[?1002l\u{1B}[?1003l\u{1B}[?2004l\u{1B}[1;1H\u{1B}[1;24r",
            "\u{1B}[>c\u{1B}[>q\u{1B}[1;1H\u{1B}[?1006l\u{1B}[?1000l\u{1B}[?1002l\u{1B}[?1003l\u{1B}[?100",
            "6h\u{1B}[?1000h\u{1B}[?1002h\u{1B}[?25l\u{1B}[K\r\n\u{1B}[K\r\n\u{1B}[K\r\n\u{1B}[K\r\n",
            "\u{1B}[K\r\n\u{1B}[K\r\n\u{1B}[K\r\n\u{1B}[K\r\n\u{1B}[K\r\n\u{1B}[K\r\n\u{1B}[K\r\n\u{1B}[K",
            "\r\n\u{1B}[K\r\n\u{1B}[K\r\n\u{1B}[K\r\n\u{1B}[K\r\n\u{1B}[K\r\n\u{1B}[K\r\n\u{1B}[K\r\n",
            "\u{1B}[K\r\n\u{1B}[K\r\n\u{1B}[K\r\n\u{1B}[K\u{1B}[30m\u{1B}[42m\r\nstatus                  ",
            "                                                        \u{1B}(B\u{1B}[m\u{1B}[?12l\u{1B}[?2",
            "5h\u{1B}[1;1H\u{1B}(B\u{1B}[m\u{1B}[?12l\u{1B}[?25h\u{1B}[?1006l\u{1B}[?1000l\u{1B}[?1002l",
            "\u{1B}[?1003l\u{1B}[?2004l\u{1B}[1;1H\u{1B}[1;24r\u{1B}[?69h\u{1B}[?1004h\u{1B}[?7727h\u{1B}",
            "[?69h\u{1B}[?1004h\u{1B}[?7727h\u{1B}[1;24r\u{1B}[s\u{1B}[1;1H\u{1B}[?1006l\u{1B}[?1000l",
            "\u{1B}[?1002l\u{1B}[?1003l\u{1B}[?1006h\u{1B}[?1000h\u{1B}[?1002h\u{1B}[?25l\u{1B}[K\r\n",
            "\u{1B}[K\r\n\u{1B}[K\r\n\u{1B}[K\r\n\u{1B}[K\r\n\u{1B}[K\r\n\u{1B}[K\r\n\u{1B}[K\r\n\u{1B}[K",
            "\r\n\u{1B}[K\r\n\u{1B}[K\r\n\u{1B}[K\r\n\u{1B}[K\r\n\u{1B}[K\r\n\u{1B}[K\r\n\u{1B}[K\r\n",
            "\u{1B}[K\r\n\u{1B}[K\r\n\u{1B}[K\r\n\u{1B}[K\r\n\u{1B}[K\r\n\u{1B}[K\r\n\u{1B}[K\u{1B}[30m",
            "\u{1B}[42m\r\nstatus                                                                        ",
            "  \u{1B}(B\u{1B}[m\u{1B}[?12l\u{1B}[?25h\u{1B}[1;1H\u{1B}[1;23r\u{1B}[1;1H\u{1B}[6Sline 7 of",
            " words\r\nline 8 of words\r\nline 9 of words\r\nline 10 of words\r\nline 11 of words\r\nline",
            " 12 of words\r\nline 13 of words\r\nline 14 of words\r\nline 15 of words\r\nline 16 of words",
            "\r\nline 17 of words\r\nline 18 of words\r\nline 19 of words\r\nline 20 of words\r\nline 21 ",
            "of words\r\nline 22 of words\r\nline 23 of words\r\nline 24 of words\u{1B}[K\r\nline 25 of w",
            "ords\u{1B}[K\r\nline 26 of words\u{1B}[K\r\nline 27 of words\u{1B}[K\r\nline 28 of words",
            "\u{1B}[K\r\nline 29 of words\u{1B}[K\u{1B}[1;24r\u{1B}[23;17H\u{1B}[1;23r\u{1B}[1;1H\u{1B}[2",
            "3Sline 38 of words\u{1B}[K\r\nline 39 of words\u{1B}[K\r\nline 40 of words\u{1B}[K\r\nline 4",
            "1 of words\u{1B}[K\r\nline 42 of words\u{1B}[K\r\nline 43 of words\u{1B}[K\r\nline 44 of wor",
            "ds\u{1B}[K\r\nline 45 of words\u{1B}[K\r\nline 46 of words\u{1B}[K\r\nline 47 of words\u{1B}",
            "[K\r\nline 48 of words\u{1B}[K\r\nline 49 of words\u{1B}[K\r\nline 50 of words\u{1B}[K\r\nli",
            "ne 51 of words\u{1B}[K\r\nline 52 of words\u{1B}[K\r\nline 53 of words\u{1B}[K\r\nline 54 of",
            " words\u{1B}[K\r\nline 55 of words\u{1B}[K\r\nline 56 of words\u{1B}[K\r\nline 57 of words",
            "\u{1B}[K\r\nline 58 of words\u{1B}[K\r\nline 59 of words\u{1B}[K\r\n\u{1B}[K\u{1B}[1;24r",
            "\u{1B}[23;1H\u{1B}[1;24r\u{1B}(B\u{1B}[m\u{1B}[?1l\u{1B}>\u{1B}[H\u{1B}[2J\u{1B}[?12l\u{1B}[",
            "?25h\u{1B}[?1000l\u{1B}[?1002l\u{1B}[?1003l\u{1B}[?1006l\u{1B}[?1005l\u{1B}[?7727l\u{1B}[?10",
            "04l\u{1B}[>4m\u{1B}[?69l\u{1B}[?1049l\u{1B}[23;0;0t[exited]\r\n",
        ])
}
