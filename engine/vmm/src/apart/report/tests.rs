use super::*;

#[test]
fn ends_come_back() {
    let failure = Some(IoError { direction: Direction::Flush, offset: 1, len: 2, errno: 28 });
    for failure in [None, failure] {
        let seen = Seen {
            bytes_read: 4,
            bytes_written: 5,
            writes: 6,
            flushes: 7,
            written_end: 8,
            failure,
            ..Seen::default()
        };
        let stats =
            Stats { exits: 3, block_requests: 2, guest_time: Duration::from_micros(9), ..Stats::default() };
        let bytes = end_to_bytes(&(stats, seen));
        let (stats, seen) = end(&bytes).unwrap();
        assert_eq!((stats.exits, stats.block_requests, stats.guest_time.as_micros()), (3, 2, 9));
        assert_eq!((stats.bytes_read, stats.bytes_written, stats.flushes), (4, 5, 7));
        assert_eq!((seen.writes, seen.written_end, seen.failure), (6, 8, failure));
        for len in 0..bytes.len() {
            assert!(end(&bytes[..len]).is_err(), "{len} bytes");
        }
        assert!(end(&[bytes, vec![0; 8]].concat()).is_err(), "more than there is to say");
    }
}

#[test]
fn errors_come_back() {
    let fault = |cause| VmmError::Fault(Fault { cause, rip: 0x2_0000, address: Some(8) });
    let all = [
        VmmError::Unavailable { reason: "why".into() },
        VmmError::Host { what: "what", source: io::Error::from_raw_os_error(libc::ENOSPC) },
        VmmError::Host { what: "what", source: io::Error::other("why") },
        VmmError::Binary { name: "name".into(), what: "what" },
        VmmError::Panic { text: "text".into() },
        VmmError::TimedOut { why: "it ran", limit: Duration::from_millis(7) },
        VmmError::MalformedResult("why"),
        fault(FaultCause::Exception { vector: 14, code: 7, stack_overflow: true }),
        fault(FaultCause::Shutdown),
        fault(FaultCause::StrayAccess { write: true }),
        fault(FaultCause::Misuse("why")),
        VmmError::Fault(Fault { cause: FaultCause::Stuck("why"), rip: 0, address: None }),
    ];
    for expected in all {
        let bytes = error_to_bytes(&expected);
        let found = error(&bytes).unwrap();
        assert_eq!((found.to_string(), found.kind()), (expected.to_string(), expected.kind()));
        for len in 0..bytes.len() {
            assert!(error(&bytes[..len]).is_err(), "{expected}: {len} bytes");
        }
    }
}

#[test]
fn hostile_texts_are_short_and_printable() {
    let long = error_to_bytes(&VmmError::Panic { text: "x".repeat(100_000) });
    assert!(long.len() < 2 * MOST_TEXT);
    let mut forged = Writer::default().numbers(&[tag::PANIC, 5]).0;
    forged.extend(b"a\x1b[m\n");
    assert_eq!(error(&forged).unwrap().to_string(), "guest panicked: a [m ");
    assert!(error(&Writer::default().numbers(&[tag::PANIC, u64::MAX]).0).is_err());
    assert!(error(&Writer::default().numbers(&[11, 0, 0, 0]).0).is_err());
}
