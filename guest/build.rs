//! Links each guest binary at its place in memory (`instar_abi::layout`; the host checks it again).

/// Where `core` lies.
const CORE: u32 = 0x1_0000;
/// Where the operations lie.
const OPERATION: u32 = 0x2_0000;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=link.ld");
    if std::env::var_os("CARGO_CFG_TARGET_OS").is_none_or(|os| os != "none") {
        return;
    }
    let root = std::env::var("CARGO_MANIFEST_DIR").expect("set by cargo");
    for argument in ["--no-pie", &format!("-T{root}/link.ld"), "--gc-sections"] {
        println!("cargo:rustc-link-arg-bins={argument}");
    }
    for operation in ["resize", "info", "check", "create", "unlock", "misbehave"] {
        println!("cargo:rustc-link-arg-bin=instar-{operation}=--defsym=BASE={OPERATION:#x}");
    }
    println!("cargo:rustc-link-arg-bin=instar-core=--defsym=BASE={CORE:#x}");
}
