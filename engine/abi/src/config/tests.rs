//! Configs as bytes.

use super::*;

const IDENTITY: Identity = Identity { random: [7; RANDOM_LEN], unix_time: U64::new(9) };

/// Bytes and back; another magic, another version and a short buffer are refused.
fn golden<C: Config + PartialEq + core::fmt::Debug>(config: C, bytes: &[u8]) {
    assert_eq!(config.as_bytes(), bytes);
    assert_eq!(C::parse(bytes), Some(config));
    assert_eq!(C::parse(&bytes[..bytes.len() - 1]), None);
    for flip in [0, 4] {
        let mut page = [0; 4096];
        page[..bytes.len()].copy_from_slice(bytes);
        assert!(C::parse(&page).is_some());
        page[flip] ^= 1;
        assert_eq!(C::parse(&page), None);
    }
}

#[test]
fn resize_golden_bytes() {
    let config = ResizeConfig {
        header: Header::of::<ResizeConfig>(),
        format: U32::new(format::QCOW2),
        size_kind: U32::new(size_kind::GROW),
        size: U64::new(0x0102_0304_0506_0708),
        flags: U32::new(resize_flags::SHRINK),
        preallocation: U32::new(preallocation::FULL),
        layers: U32::new(2),
        extents: U32::new(6),
        chain: core::array::from_fn(|layer| [0x82, 1].get(layer).copied().unwrap_or(0)),
        identity: IDENTITY,
    };
    let mut bytes = [7; 312];
    bytes[..240].fill(0);
    bytes[304..].copy_from_slice(&[9, 0, 0, 0, 0, 0, 0, 0]);
    bytes[..42].copy_from_slice(&[
        0x49, 0x53, 0x45, 0x52, 1, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1, 1, 0, 0, 0, 3, 0,
        0, 0, 2, 0, 0, 0, 6, 0, 0, 0, 0x82, 1,
    ]);
    golden(config, &bytes);
}

#[test]
fn info_and_check_golden_bytes() {
    let format = U32::new(format::RAW);
    let info = InfoConfig { header: Header::of::<InfoConfig>(), format, reserved: U32::ZERO };
    golden(info, &[0x4f, 0x46, 0x4e, 0x49, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    let repair = U32::new(repair::ALL);
    let check = CheckConfig { header: Header::of::<CheckConfig>(), format, repair, identity: IDENTITY };
    let mut bytes = [7; 88];
    bytes[..16].copy_from_slice(&[0x43, 0x45, 0x48, 0x43, 1, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0]);
    bytes[80..].copy_from_slice(&[9, 0, 0, 0, 0, 0, 0, 0]);
    golden(check, &bytes);
}

#[test]
fn create_golden_bytes() {
    let config = CreateConfig {
        header: Header::of::<CreateConfig>(),
        format: U32::new(format::QCOW2),
        flags: U32::new(create_flags::EXTENDED_L2 | create_flags::ZSTD),
        size: U64::new(1 << 40),
        version: U32::new(3),
        cluster_bits: U32::new(16),
        refcount_bits: U32::new(64),
        preallocation: U32::new(preallocation::FULL),
        name_lens: [U32::new(2), U32::ZERO, U32::new(1)],
        reserved: [0; 3],
        names: [b"ab" as &[u8], b"", b"c"]
            .map(|name| core::array::from_fn(|at| name.get(at).copied().unwrap_or(0))),
        vhdx_log_size: U64::new(5),
        vhdx_block_size: U64::new(6),
        vmdk_subformat: U32::new(4),
        vmdk_adapter: U32::new(3),
        vmdk_parent_cid: U32::new(2),
        vmdk_hardware: [0x11; MAX_WORD],
        vmdk_tools: [0x12; MAX_WORD],
        vmdk_name: [0x13; MAX_FILE_NAME],
        identity: IDENTITY,
    };
    let mut bytes = [0; 3544];
    bytes[3124] = 5;
    bytes[3132] = 6;
    bytes[3140] = 4;
    bytes[3144] = 3;
    bytes[3148] = 2;
    bytes[3152..3184].fill(0x11);
    bytes[3184..3216].fill(0x12);
    bytes[3216..3472].fill(0x13);
    bytes[3472..3536].fill(7);
    bytes[3536] = 9;
    bytes[40..52].copy_from_slice(&[2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]);
    bytes[55..57].copy_from_slice(b"ab");
    bytes[55 + 2 * 1023] = b'c';
    bytes[..40].copy_from_slice(&[
        0x41, 0x45, 0x52, 0x43, 1, 0, 0, 0, 2, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 3, 0, 0, 0, 16,
        0, 0, 0, 64, 0, 0, 0, 3, 0, 0, 0,
    ]);
    golden(config, &bytes);
}
