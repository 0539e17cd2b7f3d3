//! Options as `qemu-img` takes and names them.

use super::*;

fn qcow2(list: &str) -> Result<Qcow2Options, String> {
    Options::parse(Format::Qcow2, &[list.to_owned()])?.qcow2()
}

#[test]
fn values_reach_the_operation() {
    let expected = Qcow2Options {
        version: 2,
        cluster_bits: 12,
        refcount_bits: 8,
        lazy_refcounts: true,
        extended_l2: false,
        zstd: true,
        preallocation: Preallocation::Metadata,
        links: Links {
            backing_file: LinkName::new(b"b").expect("short"),
            backing_format: LinkName::new(b"raw").expect("short"),
            data_file: LinkName::new(b"d").expect("short"),
            data_file_raw: true,
        },
    };
    let list = "compat=0.10,cluster_size=4k,refcount_bits=8,lazy_refcounts,noextended_l2,\
                compression_type=zstd,preallocation=metadata,backing_file=b,backing_fmt=raw,\
                data_file=d,data_file_raw";
    assert_eq!(qcow2(list), Ok(expected));
    assert_eq!(qcow2("compat=v3"), Ok(Qcow2Options::default()));
}

#[test]
fn what_is_wrong_is_named() {
    let table = [
        ("foo=1", "Invalid parameter 'foo'"),
        ("cluster_size=513", "Cluster size must be"),
        ("cluster_size=4M", "Cluster size must be"),
        ("cluster_size=x", "Parameter 'cluster_size' expects a non-negative"),
        ("refcount_bits=3", "Refcount width must be"),
        ("refcount_bits=0", "Refcount width must be"),
        ("refcount_bits=x", "Parameter 'refcount_bits' expects a number"),
        ("lazy_refcounts=maybe", "Parameter 'lazy_refcounts' expects 'on' or 'off'"),
        ("compat=9", "Parameter 'version' does not accept value '9'"),
        ("compression_type=lz", "Parameter 'compression-type' does not accept"),
        ("preallocation=lz", "Parameter 'preallocation' does not accept value"),
        ("data_file_raw=x", "Parameter 'data_file_raw' expects 'on' or 'off'"),
        ("backing_file=x,backing_fmt=lz", "Parameter 'backing-fmt' does not accept value 'lz'"),
        ("encrypt.format=luks", "Option 'encrypt.format' is not supported"),
    ];
    for (list, text) in table {
        let error = qcow2(list).expect_err(list);
        assert!(error.starts_with(text), "{list}: {error}");
    }
    for list in ["", ",size=1M", "size=1M,"] {
        let error = Options::check_list(list).expect_err(list);
        assert_eq!(error, format!("Invalid option list: {list}"));
    }
    let raw = Options::parse(Format::Raw, &["cluster_size=4k".to_owned()]);
    assert_eq!(raw, Err("Invalid parameter 'cluster_size'".to_owned()));
}

#[test]
fn the_last_value_counts() {
    let lists = ["size=1M,cluster_size=64k", "cluster_size=4k"].map(str::to_owned);
    let options = Options::parse(Format::Qcow2, &lists).expect("parses");
    let text = "qcow2 cluster_size=4096 extended_l2=off compression_type=zlib size=1048576 \
                lazy_refcounts=off refcount_bits=16";
    assert_eq!(options.formatting(1 << 20), text);
}
