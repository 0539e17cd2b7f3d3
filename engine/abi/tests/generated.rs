//! `src/generated.rs` is what `guest.proto` generates. `INSTAR_BLESS=1 cargo test -p instar-abi` rewrites it.

use micropb_gen::{Config, Generator, config::OptionalRepr};
use std::path::Path;

/// First lines of the generated file.
const HEADER: &str = "//! Messages of `guest.proto`. Generated; see `tests/generated.rs`.\n\n";

/// Longest name that an image stores, in bytes (`instar_ops::Name`).
const NAME_LEN: u32 = 1023;

/// Bytes of the UUID in a LUKS header.
const UUID_LEN: u32 = 40;

/// Key slots of LUKS.
const SLOTS: u32 = 8;

/// Generates the Rust text of `guest.proto`.
fn generate(root: &Path) -> String {
    let dir = tempfile::tempdir().expect("temporary directory");
    let (set, out) = (dir.path().join("guest.fds"), dir.path().join("generated.rs"));
    let files = protox::compile([root.join("guest.proto")], [root]).expect("guest.proto compiles");
    std::fs::write(&set, prost::Message::encode_to_vec(&files)).expect("descriptor set written");

    let mut generator = Generator::new();
    generator.use_container_heapless().suffixed_package_names(false).configure(
        ".",
        Config::new().max_bytes(NAME_LEN).optional_repr(OptionalRepr::Option).no_accessors(true),
    );
    generator.configure(".instar.LuksMessage.uuid", Config::new().max_bytes(UUID_LEN));
    generator.configure(".instar.LuksMessage.slots", Config::new().max_len(SLOTS));
    generator.compile_fdset_file(&set, &out).expect("Rust generated");
    HEADER.to_owned() + &std::fs::read_to_string(&out).expect("generated file read")
}

#[test]
fn generated_rs_is_what_guest_proto_generates() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (fresh, committed) = (generate(root), root.join("src/generated.rs"));
    if std::env::var_os("INSTAR_BLESS").is_some() {
        std::fs::write(&committed, fresh).expect("src/generated.rs written");
        return;
    }
    let stored = std::fs::read_to_string(&committed).expect("src/generated.rs read");
    assert!(stored == fresh, "src/generated.rs is stale: INSTAR_BLESS=1 cargo test -p instar-abi");
}
