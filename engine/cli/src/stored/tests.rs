//! What stored names stand for.

use super::*;

fn owner() -> ImageName {
    ImageName::new(OsStr::new("dir/ov.img")).expect("a name")
}

/// Path and format of the name `stored` in an image that says that it is in `format`.
fn parse_as(stored: &str, format: &str) -> Result<(String, Option<String>), String> {
    Stored::parse(&owner(), stored.as_bytes(), format.as_bytes(), &[]).map(|s| (s.name.text(), s.format))
}

fn parse(stored: &str) -> Result<(String, Option<String>), String> {
    parse_as(stored, "")
}

#[test]
fn plain_names_are_relative_to_their_image() {
    assert_eq!(parse("base.img"), Ok(("dir/base.img".to_owned(), None)));
    assert_eq!(parse_as("/b/base.img", "raw"), Ok(("/b/base.img".to_owned(), Some("raw".to_owned()))));
    assert_eq!(parse("file:base.img"), Ok(("base.img".to_owned(), None)));
    assert_eq!(parse("nbd:x:1"), Err("Unknown protocol 'nbd'".to_owned()));
}

#[test]
fn json_names_tell_driver_and_file() {
    let qcow2 = Ok(("b:1.img".to_owned(), Some("qcow2".to_owned())));
    let nested = r#"json:{"driver":"qcow2","file":{"driver":"file","filename":"b:1.img"}}"#;
    assert_eq!(parse(nested), qcow2);
    assert_eq!(parse(r#"json:{"driver":"qcow2","file.filename":"b:1.img"}"#), qcow2);
    assert_eq!(parse_as(r#"json:{"driver":"raw","file.filename":"b:1.img"}"#, "qcow2"), qcow2);
    let file = Ok(("b".to_owned(), Some("file".to_owned())));
    assert_eq!(parse(r#"json:{"driver":"file","filename":"b"}"#), file);
    assert_eq!(parse(r#"json:{"file.filename":"b"}"#), Ok(("b".to_owned(), None)));
}

#[test]
fn json_names_tell_secrets_and_parts() {
    let stored = |text: &str, format: &str| {
        Stored::parse(&owner(), text.as_bytes(), format.as_bytes(), &[]).expect(text)
    };
    let of = |driver, key| format!(r#"json:{{"driver":"{driver}","{key}":"s","file.filename":"b"}}"#);
    assert_eq!(stored(&of("luks", "key-secret"), "").key_secret(), Some("s"));
    assert_eq!(stored(&of("qcow2", "encrypt.key-secret"), "qcow2").key_secret(), Some("s"));
    assert_eq!(stored("b", "").key_secret(), None);
    let part =
        r#"json:{"driver":"raw","offset":512,"file":{"driver":"raw","size":"1k","file.filename":"b"}}"#;
    let layers = stored(part, "raw").opts.expect("options").layers;
    assert!(layers.len() == 2 && layers.iter().all(crate::part::RawLayer::is_part));
    let below = r#"json:{"file":{"driver":"raw","size":"1k","file.filename":"b"}}"#;
    assert_eq!(stored(below, "qcow2").opts.expect("options").layers.len(), 2);
}

#[test]
fn what_the_user_tells_counts_for_more() {
    let told = [Pair::text("driver", "raw"), Pair::text("offset", "1M"), Pair::text("backing.driver", "qed")];
    let stored = Stored::parse(&owner(), b"b", b"qcow2", &told[..2]).expect("a name");
    assert_eq!((stored.name.text().as_str(), stored.format.as_deref()), ("dir/b", Some("raw")));
    assert!(stored.opts.expect("options").layers[0].is_part());
    let json = br#"json:{"driver":"qcow2","backing":{"key-secret":"s"},"file":{"filename":"b"}}"#;
    let stored = Stored::parse(&owner(), json, b"qcow2", &told[2..]).expect("a name");
    let behind = [Pair::text("key-secret", "s"), Pair::text("driver", "qed")];
    assert_eq!(stored.opts.expect("options").behind, behind);
    let elsewhere = [Pair::text("file.filename", "c")];
    let stored = Stored::parse(&owner(), b"nbd:x", b"raw", &elsewhere).expect("a name");
    assert_eq!((stored.name.text().as_str(), stored.format.as_deref()), ("c", Some("raw")));
    let twice = [Pair::text("file.driver", "raw"), Pair::text("file.file.filename", "c")];
    let error = Stored::parse(&owner(), b"b", b"raw", &twice).expect_err("two names");
    assert_eq!(error, "Can't specify 'file' and 'filename' options at the same time");
}

#[test]
fn json_names_that_say_what_means_nothing_are_refused() {
    for (stored, text) in [
        ("json:{", "Could not parse the JSON options"),
        ("json:[]", "Invalid JSON object given"),
        ("json:{}", "Must specify either driver or file"),
        (r#"json:{"driver":"raw"}"#, "A block device must be specified for \"file\""),
        (r#"json:{"driver":"raw","bogus":5,"file.filename":"b"}"#, "Block format 'raw' does not support"),
        (r#"json:{"driver":"raw","file":{"driver":"nbd","host":"h"}}"#, "Unknown driver 'nbd'"),
        (r#"json:{"driver":"raw","file":"node"}"#, "Cannot find device='node' nor node-name='node'"),
        (r#"json:{"driver":"file","file.filename":"b"}"#, "The 'file' block driver requires a file name"),
    ] {
        let error = parse(stored).expect_err(stored);
        assert!(error.starts_with(text), "{stored}: {error}");
    }
}
