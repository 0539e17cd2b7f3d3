//! Everything that crosses comes back as it was; what means nothing is refused.

use super::*;
use crate::{
    Attached, Bitmap, CheckFinding, CheckReport, CheckRequest, Cipher, CreateRequest, Damage, Encryption,
    Fault, Format, Hash, Identity, ImageInfo, InfoItem, InfoRequest, IvGen, Label, LayerShape, LinkName,
    Links, LuksInfo, LuksSlot, MAX_LAYERS, Mode, Name, OpError, Preallocation, Qcow2Info, Qcow2Options,
    Repair, ResizeAction, ResizeOutcome, ResizeRequest, Revealed, SizeRequest, Snapshot, Table,
    UnlockRequest, VhdOptions, VhdxOptions, VmdkAdapter, VmdkOptions, VmdkSubformat,
};
use instar_abi::config::ResizeConfig;
use instar_abi::message::{
    CheckFindingMessage, ErrorMessage, ExtentMessage, FindingKind, FindingTable, GuestMessage_::Payload,
    ImageFormat, ResizeActionCode, ResizeResultMessage,
};
use instar_abi::unlock::UnlockConfig;

const FORMATS: [Format; 2] = [Format::Raw, Format::Qcow2];
/// What both ends must see alike.
const IDENTITY: Identity = Identity { random: [7; 64], unix_time: 9 };

const ALL_FORMATS: [Format; 7] =
    [Format::Raw, Format::Qcow2, Format::Luks, Format::Qed, Format::Vhd, Format::Vhdx, Format::Vmdk];
const ADAPTERS: [VmdkAdapter; 4] =
    [VmdkAdapter::Ide, VmdkAdapter::BusLogic, VmdkAdapter::LsiLogic, VmdkAdapter::LegacyEsx];
const SUBFORMATS: [VmdkSubformat; 5] = [
    VmdkSubformat::MonolithicSparse,
    VmdkSubformat::MonolithicFlat,
    VmdkSubformat::TwoGbMaxExtentSparse,
    VmdkSubformat::TwoGbMaxExtentFlat,
    VmdkSubformat::StreamOptimized,
];

fn name(text: &str) -> Name {
    Name::from_slice(text.as_bytes()).unwrap()
}

fn outcome() -> ResizeOutcome {
    ResizeOutcome {
        format: Format::Qcow2,
        action: ResizeAction::Shrink,
        old_virtual_size: u64::MAX,
        new_virtual_size: 1,
        file_size_before: 2,
        file_size_after: 3,
        preallocate: Some((4, 5)),
        data_file_size_after: Some(6),
        extents_after: Some(crate::ExtentsAfter { kept: 1, last_len: Some(2), again: true }),
    }
}

#[test]
fn resize_requests() {
    let sizes = [SizeRequest::Absolute(7), SizeRequest::Grow(0), SizeRequest::Shrink(u64::MAX)];
    let modes = [Preallocation::Off, Preallocation::Metadata, Preallocation::Falloc, Preallocation::Full];
    for size in sizes {
        for preallocation in modes {
            for shrink in [false, true] {
                for format in [None, Some(Format::Raw), Some(Format::Qcow2)] {
                    let request = ResizeRequest { format, size, shrink, preallocation, identity: IDENTITY };
                    assert_eq!(
                        ResizeRequest::from_config(&request.to_config(&Attached::default())),
                        Some(request)
                    );
                }
            }
        }
    }
}

#[test]
fn resize_requests_that_mean_nothing() {
    let request = ResizeRequest {
        format: None,
        size: SizeRequest::Grow(1),
        shrink: true,
        preallocation: Preallocation::Off,
        identity: Default::default(),
    };
    let good = request.to_config(&Attached::default());
    assert!(ResizeRequest::from_config(&good).is_some());
    let spoilers: [fn(&mut ResizeConfig); 4] =
        [|c| c.format.set(99), |c| c.size_kind.set(3), |c| c.preallocation.set(4), |c| c.flags.set(16)];
    for spoil in spoilers {
        let mut bad = good;
        spoil(&mut bad);
        assert_eq!(ResizeRequest::from_config(&bad), None);
    }
}

#[test]
fn info_check_and_create_requests() {
    for format in [None, Some(Format::Raw), Some(Format::Qcow2)] {
        let (info, check) = (
            InfoRequest { format },
            CheckRequest { format, repair: Repair::All, unlocked: true, identity: IDENTITY },
        );
        assert_eq!(InfoRequest::from_config(&info.to_config()), Some(info));
        assert_eq!(CheckRequest::from_config(&check.to_config()), Some(check));
    }
    for bits in 0..8 {
        let qcow2 = Qcow2Options {
            version: 2,
            cluster_bits: 21,
            refcount_bits: 64,
            lazy_refcounts: bits & 1 != 0,
            extended_l2: bits & 2 != 0,
            zstd: bits & 4 != 0,
            preallocation: if bits == 0 { Preallocation::Off } else { Preallocation::Falloc },
            links: Links {
                backing_file: LinkName::new(&[b'b'; 1023]).expect("it fits"),
                backing_format: LinkName::default(),
                data_file: LinkName::new(b"data").expect("it fits"),
                data_file_raw: bits & 1 == 0,
            },
        };
        let vhd = VhdOptions { fixed: bits & 1 != 0, force_size: bits & 2 != 0 };
        let vhdx =
            VhdxOptions { fixed: bits & 1 == 0, log_size: 5, block_size: 6, block_state_zero: bits & 4 != 0 };
        let subformat = SUBFORMATS[bits % 5];
        let vmdk = VmdkOptions {
            subformat,
            compat6: bits & 2 == 0,
            zeroed_grain: bits & 1 != 0,
            adapter: ADAPTERS[bits % 4],
            hardware: Label::new(b"9").expect("it fits"),
            tools: Label::new(b"tools").expect("it fits"),
            name: Label::new(&[7; 256][..bits % 257]).expect("it fits"),
            parent_cid: (bits & 4 != 0).then_some(5),
        };
        for format in ALL_FORMATS {
            let request = CreateRequest {
                qcow2,
                vhd,
                vhdx,
                vmdk,
                identity: IDENTITY,
                ..CreateRequest::new(format, u64::MAX)
            };
            assert_eq!(CreateRequest::from_config(&request.to_config()), Some(request));
        }
    }
}

#[test]
fn what_is_attached() {
    let request = ResizeRequest {
        format: None,
        size: SizeRequest::Grow(1),
        shrink: false,
        preallocation: Preallocation::Off,
        identity: Default::default(),
    };
    let mut attached = Attached::default();
    assert_eq!((attached.first_layer(), attached.files()), (1, 1));
    for layer in 0..MAX_LAYERS {
        assert_eq!(Attached::from_config(&request.to_config(&attached)), Some(attached.clone()));
        attached.data_file = layer % 3 == 0;
        attached.detached = layer % 5 == 0;
        attached.unlocked = layer % 7 == 0;
        let shape = LayerShape { format: FORMATS[layer % 2], data_file: layer % 4 == 1 };
        attached.layers.push(shape).unwrap();
    }
    attached.data_file = true;
    assert_eq!((attached.first_layer(), attached.files()), (2, 2 + 200 + 50));
    let good = request.to_config(&attached);
    assert_eq!(Attached::from_config(&good), Some(attached));
    for count in [MAX_LAYERS + 1, usize::MAX >> 32] {
        let bad = ResizeConfig { layers: u32::try_from(count).unwrap().into(), ..good };
        assert_eq!(Attached::from_config(&bad), None);
    }
    for byte in [0, 8, 0x80, 0xff] {
        let mut bad = good;
        bad.chain[7] = byte;
        assert_eq!(Attached::from_config(&bad), None);
    }
}

#[test]
fn resize_results() {
    let actions = [ResizeAction::Grow, ResizeAction::Shrink, ResizeAction::NoOp];
    for action in actions {
        for format in FORMATS {
            for preallocate in [None, Some((0, 0)), Some((1, u64::MAX))] {
                for data_file_size_after in [None, Some(0), Some(u64::MAX)] {
                    let result =
                        Ok(ResizeOutcome { format, action, preallocate, data_file_size_after, ..outcome() });
                    assert_eq!(resize_from_wire(&resize_to_wire(&result)), Some(result));
                }
            }
        }
    }
    let refused = Err(OpError::Resize(crate::ResizeError::NewSizeNotPositive));
    assert_eq!(resize_from_wire(&resize_to_wire(&refused)), Some(refused));
}

#[test]
fn resize_results_that_mean_nothing() {
    let good = resize_to_wire(&Ok(outcome()));
    let nonsense = [
        ResizeResultMessage::default(),
        ResizeResultMessage { target_format: ImageFormat(99), ..good },
        ResizeResultMessage { action: ResizeActionCode(-1), ..good },
        ResizeResultMessage { error: Some(ErrorMessage::default()), ..good },
    ];
    for message in nonsense {
        assert_eq!(resize_from_wire(&message), None);
    }
}

#[test]
fn io_errors_keep_their_place() {
    use instar_formats::io::{Direction, IoError};
    for direction in [Direction::Read, Direction::Write, Direction::Flush] {
        let error = OpError::Io(IoError { direction, offset: u64::MAX, len: 1, errno: 28 });
        assert_eq!(resize_from_wire(&resize_to_wire(&Err(error))), Some(Err(error)));
    }
}

#[test]
fn check_results() {
    let report = CheckReport {
        format: Format::Raw,
        check_errors: 1,
        corruptions: 2,
        leaks: 3,
        image_end_offset: 4,
        total_clusters: 5,
        allocated_clusters: 6,
        fragmented_clusters: 7,
        compressed_clusters: 8,
        corruptions_fixed: 9,
        leaks_fixed: 10,
    };
    for result in [Ok(report), Err(OpError::Resize(crate::ResizeError::NewSizeNotPositive))] {
        assert_eq!(check_from_wire(&check_to_wire(&result)), Some(result));
    }
    assert_eq!(check_from_wire(&Default::default()), None);
}

fn luks() -> LuksInfo {
    LuksInfo {
        cipher: Cipher::Cast5,
        key_bits: 1,
        mode: Mode::Ctr,
        ivgen: IvGen::Essiv(Hash::Sm3),
        hash: Hash::Md5,
        uuid: [b'u'; 40],
        payload_offset: u64::MAX,
        master_key_rounds: u32::MAX,
        slots: [LuksSlot { active: true, rounds: 2, stripes: 3, material: u64::MAX }; 8],
    }
}

#[test]
fn unlocking() {
    for expected in [None, Some(Encryption::None), Some(Encryption::Aes), Some(Encryption::Luks)] {
        let request = UnlockRequest { format: Some(Format::Luks), expected };
        let config = request.to_config(Some(b"pw")).unwrap();
        assert_eq!(UnlockRequest::from_config(&config), Some(request));
        assert_eq!(config.passphrase(), Some(b"pw".as_slice()));
        assert_eq!(request.to_config(None).unwrap().passphrase(), None);
        assert!(request.to_config(Some(&[0; crate::PASSPHRASE_LEN + 1])).is_none());
        assert!(Revealed::from_config(&config).unwrap().layers.is_empty());
    }
    let results = [Ok(Encryption::None), Ok(Encryption::Luks), Err(crate::ImageError::Password.into())];
    for result in results {
        assert_eq!(unlock_from_wire(&unlock_to_wire(&result)), Some(result));
    }
    assert_eq!(unlock_from_wire(&Default::default()), None);
}

#[test]
fn revealing() {
    let beside = |format, data_file| LayerShape { format, data_file };
    let layers = [beside(Format::Qcow2, true), beside(Format::Luks, false)].into_iter().collect();
    let revealed = Revealed { layers, offset: 1 << 40, len: 512 };
    let config = revealed.to_config(b"pw").unwrap();
    assert_eq!(Revealed::from_config(&config), Some(revealed.clone()));
    assert_eq!(UnlockRequest::from_config(&config).unwrap().format, Some(Format::Qcow2));
    assert_eq!(config.passphrase(), Some(b"pw".as_slice()));
    assert_eq!((revealed.plain(), revealed.bytes()), (3, 1 << 40..(1 << 40) + 512));
    let mut chain = config.chain;
    chain[1] = 0x7f;
    assert_eq!(Revealed::from_config(&UnlockConfig { chain, ..config }), None);
    let layers = zerocopy::little_endian::U32::new(201);
    assert_eq!(Revealed::from_config(&UnlockConfig { layers, ..config }), None);
}

#[test]
fn info_results() {
    let qcow2 = Qcow2Info {
        version: 3,
        refcount_bits: 1,
        lazy_refcounts: true,
        corrupt: false,
        extended_l2: true,
        zstd: false,
        data_file: Some(name("")),
        data_file_raw: true,
    };
    let info = ImageInfo {
        format: Format::Qcow2,
        virtual_size: 1,
        cluster_size: Some(2),
        dirty: false,
        encrypted: true,
        backing_file: name("b"),
        backing_format: name("f"),
        vmdk: Some(crate::VmdkInfo {
            cid: 1,
            parent_cid: 2,
            create_type: Name::from_slice(b"x").expect("short"),
        }),
        qcow2: Some(qcow2),
        luks: Some(luks()),
    };
    let plain = ImageInfo { qcow2: None, cluster_size: None, format: Format::Raw, ..info.clone() };
    for result in [Ok(info), Ok(plain), Err(OpError::Resize(crate::ResizeError::NewSizeNotPositive))] {
        assert_eq!(info_from_wire(info_to_wire(result.clone())), Some(result));
    }
    assert_eq!(info_from_wire(Default::default()), None);
}

#[test]
fn info_items() {
    let snapshot = Snapshot {
        id: name("1"),
        name: name("s"),
        vm_state_size: 1,
        date_sec: 2,
        date_nsec: 3,
        vm_clock_nsec: 4,
        icount: Some(5),
    };
    let bitmap = Bitmap { name: name("b"), granularity: 1, in_use: true, auto: false };
    for item in [InfoItem::Snapshot(snapshot), InfoItem::Bitmap(bitmap)] {
        assert_eq!(info_item_from_wire(info_item_to_wire(item.clone())), Some(item));
    }
    assert_eq!(info_item_from_wire(Payload::CheckFinding(Default::default())), None);
}

#[test]
fn findings() {
    let [cluster, refcount, references, offset, value] = [1, 2, 3, 4, 5];
    let mut all = vec_of_tables(|table| CheckFinding::Entry {
        fault: Fault::PastEnd,
        table,
        offset,
        value,
        about: [7, 8],
        fixed: true,
    });
    all.extend(vec_of_tables(|table| CheckFinding::Copied { table, index: 6, value, refcount, fixed: true }));
    all.push(CheckFinding::Leak { cluster, refcount, references, fixed: true }).unwrap();
    all.push(CheckFinding::NeedsRebuild).unwrap();
    all.push(CheckFinding::Rebuilding).unwrap();
    all.push(CheckFinding::Unclean).unwrap();
    all.push(CheckFinding::Damage { what: Damage::VhdFootersDiffer, fixed: true }).unwrap();
    all.push(CheckFinding::Unreadable { cluster }).unwrap();
    all.push(CheckFinding::Refcount { cluster, refcount, references, fixed: false }).unwrap();
    for finding in all {
        assert_eq!(finding_from_wire(&finding_to_wire(finding)), Some(finding));
    }
    let bad_table =
        CheckFindingMessage { kind: FindingKind::Entry, table: FindingTable(4), ..Default::default() };
    for nonsense in [Default::default(), bad_table] {
        assert_eq!(finding_from_wire(&nonsense), None);
    }
}

/// One finding for each table.
fn vec_of_tables(make: impl Fn(Table) -> CheckFinding) -> heapless::Vec<CheckFinding, 16> {
    [Table::L1, Table::L2, Table::RefcountTable].into_iter().map(make).collect()
}

#[test]
fn a_range_of_nothing_is_not_no_range() {
    let mut message = resize_to_wire(&Ok(outcome()));
    message.preallocate = Some(ExtentMessage::default());
    let read = resize_from_wire(&message).unwrap().unwrap();
    assert_eq!(read.preallocate, Some((0, 0)));
}
