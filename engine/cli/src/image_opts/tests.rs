//! What options mean, and what is said of those that mean nothing.

use super::*;

fn parse(words: &str) -> Result<ImageOpts, String> {
    ImageOpts::parse(OsStr::new(words))
}

#[test]
fn options_mean_what_they_mean_to_qemu_img() {
    let opts = parse("driver=qcow2,file.driver=file,file.filename=a,,b,encrypt.key-secret=s,backing=")
        .expect("understood");
    assert_eq!(opts.filename, "a,b");
    assert_eq!((opts.key_secret.as_deref(), opts.detached), (Some("s"), true));
    let shown = r#"json:{"encrypt.key-secret": "s", "driver": "qcow2", "file": {"driver": "file", "filename": "a,b"}}"#;
    assert_eq!(opts.shown().as_deref(), Some(shown));
    assert_eq!(parse("driver=raw,file.filename=x").expect("understood").shown(), None);
}

#[test]
fn raw_layers_lie_between_the_file_and_the_format() {
    let opts =
        parse("driver=qcow2,file.driver=raw,file.offset=64k,file.file.filename=w").expect("understood");
    assert_eq!((opts.layers.len(), opts.shown_below().len()), (2, 2));
    let shown = r#"json:{"driver": "qcow2", "file": {"offset": "64k", "driver": "raw", "file": {"driver": "file", "filename": "w"}}}"#;
    assert_eq!(opts.shown().as_deref(), Some(shown));
    let json = r#"{"driver":"raw","offset":1024,"size":"1k","file":{"driver":"file","filename":"r"}}"#;
    let opts = ImageOpts::from_json(json.as_bytes(), None).expect("understood");
    let shown = r#"json:{"offset": 1024, "driver": "raw", "size": "1k", "file": {"driver": "file", "filename": "r"}}"#;
    assert_eq!(opts.shown().as_deref(), Some(shown));
}

#[test]
fn a_format_that_is_probed_tells_what_there_may_be() {
    let opts = parse("offset=64k,file.filename=w").expect("understood");
    let shown = r#"json:{"offset": "64k", "driver": "raw", "file": {"driver": "file", "filename": "w"}}"#;
    assert_eq!(opts.probed("raw").expect("raw").shown().as_deref(), Some(shown));
    let words = "Block format 'qcow2' does not support the option 'offset'";
    assert_eq!(opts.probed("qcow2").err().as_deref(), Some(words));
    let named = parse("driver=raw,offset=64k,file.filename=w").expect("understood");
    assert_eq!(named.probed("qcow2").as_ref(), Ok(&named));
}

#[test]
fn json_says_the_same() {
    let json = |text: &str| ImageOpts::from_json(text.as_bytes(), None);
    let nested =
        r#"{"driver":"qcow2","backing":null,"file":{"driver":"file","filename":"a,b"},"cache.direct":true}"#;
    let words = parse("driver=qcow2,file.filename=a,,b,backing=").expect("understood");
    assert_eq!(json(nested), Ok(ImageOpts { deprecated: 0, ..words.clone() }));
    assert_eq!(words.deprecated, 1);
    let file = parse("driver=raw,backing=,file.backing=,file.filename=a").expect("understood");
    assert_eq!((file.deprecated, file.detached), (2, true));
    assert_eq!(json(r#"{"read-only":true,"file.filename":"x"}"#), parse("file.filename=x,read-only=on"));
    assert_eq!(json(r#"{"driver":"file","filename":"x"}"#), parse("driver=file,filename=x"));
    let named = ImageOpts::from_json(br#"{"driver":"raw","file":{"filename":"x"}}"#, Some("qcow2"));
    assert_eq!(named, parse("driver=qcow2,file.filename=x"));
    let words = |text: &str| json(text).expect_err(text);
    assert_eq!(words("[]"), "Invalid JSON object given");
    assert_eq!(words("{}"), "Must specify either driver or file");
    assert_eq!(words(r#"{"filename":"x"}"#), "Must specify either driver or file");
    assert!(words("{").starts_with("Could not parse the JSON options: "));
    let unknown = r#"{"driver":"qcow2","file":{"filename":"q"},"bogus":1}"#;
    assert_eq!(words(unknown), "Block format 'qcow2' does not support the option 'bogus'");
    let deep = "[".repeat(1 << 20);
    assert!(words(&deep).starts_with("Could not parse"));
}

#[test]
fn what_is_wrong_is_said_in_qemu_words() {
    let table = [
        ("q.img", "Cannot find device='q.img' nor node-name='q.img'"),
        ("", "Must specify either driver or file"),
        ("driver=file,file.filename=q", "The 'file' block driver requires a file name"),
        ("driver=file,filename=q,offset=1", "Block protocol 'file' doesn't support the option 'offset'"),
        (
            "driver=qcow2,file.filename=q,backing=n",
            "Could not open backing file: Cannot find device='n' nor node-name='n'",
        ),
        ("driver=qcow2", "A block device must be specified for \"file\""),
        ("driver=bogus,file.filename=q", "Unknown driver 'bogus'"),
        ("driver=qcow2,file.filename=q,bogus=1", "Block format 'qcow2' does not support the option 'bogus'"),
        (
            "driver=qcow2,file.filename=q,file.bogus=1",
            "Block protocol 'file' doesn't support the option 'bogus'",
        ),
        ("driver=qcow2,file.filename=q,encrypt.bogus=1", "Parameter 'bogus' is unexpected"),
        (
            "driver=raw,encrypt.key-secret=s,file.filename=pw",
            "Block format 'raw' does not support the option 'encrypt.key-secret'",
        ),
        ("driver=qcow2,size=512,file.filename=q", "Block format 'qcow2' does not support the option 'size'"),
        (
            "driver=qcow2,file.size=1,file.filename=q",
            "Block protocol 'file' doesn't support the option 'size'",
        ),
        ("file.driver=raw,file.filename=q", "A block device must be specified for \"file\""),
    ];
    for (words, expected) in table {
        assert_eq!(parse(words).err().as_deref(), Some(expected), "{words}");
    }
}
