use super::*;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const SYNTAX: SizeError = SizeError::Syntax { parameter: "size" };

fn too_large(text: &str) -> SizeError {
    SizeError::OutOfRange { parameter: "size", value: text.to_owned() }
}

#[test]
fn accepts_what_qemu_img_accepts() {
    let table: &[(&str, u64)] = &[
        ("0", 0),
        ("1048576", MIB),
        ("1b", 1),
        ("1B", 1),
        ("3k", 3 * KIB),
        ("3K", 3 * KIB),
        ("2M", 2 * MIB),
        ("2m", 2 * MIB),
        ("2.M", 2 * MIB),
        ("1.5G", 3 << 29),
        ("1T", 1 << 40),
        ("1P", 1 << 50),
        ("1e", 1 << 60),
        ("1.0", 1),
        ("1.", 1),
        ("1.0b", 1),
        (".5k", 512),
        (".0", 0),
        ("010M", 10 * MIB),
        ("0x200000", 2 * MIB),
        ("0X10", 16),
        ("0x2b", 43),
        ("0x1e", 30),
        (" 2M", 2 * MIB),
        ("+2M", 2 * MIB),
        ("0.7k", 717),
        ("0.3k", 307),
        ("1.9999k", 2048),
        ("1.0009k", 1025),
        ("0.00048828125k", 1),
        ("0.0004k", 0),
        ("0.99999999999999999999k", 1024),
        ("0.1E", 115_292_150_460_684_704),
        ("0.3E", 345_876_451_382_054_080),
        ("1.3P", 1_463_669_878_895_411),
        ("9223372036854775807", MAX_SIZE),
        ("0x7fffffffffffffff", MAX_SIZE),
    ];
    for &(text, bytes) in table {
        assert_eq!(parse("size", text), Ok(bytes), "{text:?}");
    }
}

#[test]
fn rejects_what_is_no_size() {
    let table = [
        "",
        ".",
        ".k",
        "+",
        "2MB",
        "2MiB",
        "1 M",
        "2M ",
        "1G5",
        "1_000",
        "1,5G",
        "1e3",
        "1.5",
        "0.3",
        "1.5b",
        "1..5k",
        "1.5.k",
        "1kk",
        "0x",
        "0x2M",
        "0x1p3",
        "0x1.8k",
        "-1k",
        "+-1",
        "++1",
        "k",
        "M",
        "abc",
        "inf",
        "nan",
        "1\u{ff15}",
        "\u{0}",
    ];
    for text in table {
        assert_eq!(parse("size", text), Err(SYNTAX), "{text:?}");
    }
}

#[test]
fn rejects_what_no_image_can_be() {
    let table = [
        "8E",
        "16E",
        "7.9999999999999999999E",
        "9223372036854775808",
        "18446744073709551615",
        "18446744073709551616",
        "99999999999999999999999999",
        "0xffffffffffffffff",
        "0x10000000000000000",
        "8388608T",
        "-1",
        " -0",
    ];
    for text in table {
        assert_eq!(parse("size", text), Err(too_large(text)), "{text:?}");
    }
}

#[test]
fn one_sign_makes_a_size_relative() {
    let request = |s: &str| parse_request(OsStr::new(s));
    assert_eq!(request("5k"), Ok(SizeRequest::Absolute(5120)));
    assert_eq!(request("+5k"), Ok(SizeRequest::Grow(5120)));
    assert_eq!(request("-5k"), Ok(SizeRequest::Shrink(5120)));
    assert_eq!(request("++5k"), Ok(SizeRequest::Grow(5120)));
    assert_eq!(request("+ 5k"), Ok(SizeRequest::Grow(5120)));
    assert_eq!(request("-+5k"), Ok(SizeRequest::Shrink(5120)));
    assert_eq!(request("--5k"), Err(SYNTAX));
    assert_eq!(request("+-5"), Err(too_large("-5")));
    assert_eq!(request("+16E"), Err(too_large("16E")));
}
