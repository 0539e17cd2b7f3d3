//! What is JSON, and what is said of what is not.

use super::*;
use serde_json::json;

#[test]
fn values() {
    for (text, expected) in [
        (
            r#"{"a": [1, -0, 2.5e3, true, null], 'b"': '\'\"'}"#,
            json!({"a": [1, 0, 2500.0, true, null], "b\"": "'\""}),
        ),
        (r#" {"\ud83d\ude00\/\b\f\n\r\t\\": "é"} "#, json!({"😀/\u{8}\u{c}\n\r\t\\": "é"})),
        ("[[],{}]", json!([[], {}])),
        ("18446744073709551615", json!(u64::MAX)),
        ("-1", json!(-1)),
        ("'x'", json!("x")),
    ] {
        assert_eq!(parse(text.as_bytes()), Ok(expected), "{text}");
    }
}

#[test]
fn errors_are_those_of_qemu_img() {
    for (text, words) in [
        ("{", "premature EOI"),
        (r#"{"a""#, "premature EOI"),
        (r#"{"a":1,"#, "premature EOI"),
        (r#"{"a":[1,2"#, "premature EOI"),
        ("}", "expecting value"),
        (r#"{"a":1,}"#, "expecting value"),
        (r#"{"a":]}"#, "expecting value"),
        ("[,]", "expecting value"),
        (r#"{"a" 1}"#, "missing : in object pair"),
        (r#"{"a" 1"#, "missing : in object pair"),
        (r#"{"a" 1 ;}"#, "stray ';'"),
        (r#"{"a":1 "b":2}"#, "expected separator in dict"),
        (r#"{"a":[1 2]}"#, "expected separator in list"),
        (r#"{"a":[1,2}}"#, "expected separator in list"),
        (r#"{"a":1,"a":2}"#, "duplicate key"),
        ("{1:2}", "key is not a string in object"),
        ("{a:1}", "invalid keyword 'a'"),
        (r#"{"a":truefalse}"#, "invalid keyword 'truefalse'"),
        (r#"{"a":True}"#, "stray 'T'"),
        (r#"{"a"#, r#"stray '"a'"#),
        ("{'a", "stray ''a'"),
        (r#"{"a":.5}"#, "stray '.'"),
        (r#"{"a":01}"#, "stray '01'"),
        (r#"{"a":-01}"#, "stray '-01'"),
        (r#"{"a":-}"#, "stray '-}'"),
        (r#"{"a":1.}"#, "stray '1.}'"),
        (r#"{"a":1e+}"#, "stray '1e+}'"),
        (r#"{"a":1.5.5}"#, "stray '.'"),
        ("1.", "stray '1.'"),
        (r#"{"a":0x1}"#, "expected separator in dict"),
        (r#"{"a":%s}"#, "stray '%'"),
        (r#"{"a":"\q"}"#, "invalid escape sequence in string"),
        (r#"{"a":"\u12"}"#, r#"\u12" is not a valid Unicode character"#),
        (r#"{"a":"\u12zzz"}"#, r"\u12zz is not a valid Unicode character"),
        (r#"{"a":"\ud800\u0041"}"#, r"\ud800 is not a valid Unicode character"),
        (r#"{"a":"\ufdd0"}"#, r"\ufdd0 is not a valid Unicode character"),
    ] {
        assert_eq!(parse(text.as_bytes()), Err(error(words)), "{text}");
    }
    assert_eq!(parse(b"{\"a\":\"\xe9\"}"), Err(error("invalid UTF-8 sequence in string")));
    assert_eq!(parse(b"{\"a\":\"\x01\"}"), Err(error("stray '\"\\x01'")));
}

#[test]
fn there_is_one_value_of_bounded_depth() {
    for text in ["", " "] {
        assert_eq!(parse(text.as_bytes()), Err("Expecting a JSON value".to_owned()));
    }
    for text in ["{}x", "{}}", "{},", "{} ;", "{}\"x"] {
        assert_eq!(parse(text.as_bytes()), Err("Expecting at most one JSON value".to_owned()), "{text}");
    }
    let nested = |depth: usize| ["[".repeat(depth), "]".repeat(depth)].concat();
    assert!(parse(nested(1024).as_bytes()).is_ok());
    for text in [nested(1025), "[".repeat(1 << 20)] {
        assert_eq!(parse(text.as_bytes()), Err("JSON nesting depth limit exceeded".to_owned()));
    }
}

/// Whatever the bytes are, there is an answer.
#[test]
fn any_bytes_come_to_an_end() {
    let mut state = 7_u64;
    let alphabet = br#"{}[]:,"'\u0e1.-+ tnaz;%"#;
    for _ in 0..20_000 {
        let text: Vec<u8> = (0..12)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                alphabet[usize::from(state.to_be_bytes()[0]) % alphabet.len()]
            })
            .collect();
        drop(parse(&text));
    }
}
