//! The bytes of each message are fixed: an old host and a new guest must not talk past each other.

use heapless::Vec as Bytes;
use instar_abi::message::{
    BitmapMessage, CheckFindingMessage, CheckResultMessage, DiskExtentMessage, ErrorMessage, ExtentMessage,
    ExtentsAfterMessage, FindingFault, FindingKind, FindingTable, GuestMessage, GuestMessage_::Payload,
    ImageFormat, InfoResultMessage, Qcow2InfoMessage, ResizeActionCode, ResizeResultMessage, SnapshotMessage,
    UnlockResultMessage, VmdkInfoMessage,
};
use instar_abi::micropb::{MessageDecode, MessageEncode, PbEncoder};

/// `payload` has these bytes, and they decode to it.
fn golden(payload: Payload, hex: &str) {
    let message = GuestMessage { payload: Some(payload) };
    let mut encoder = PbEncoder::new(Bytes::<u8, 512>::new());
    message.encode(&mut encoder).expect("fits");
    let bytes = encoder.into_writer();
    let text: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(text, hex.replace([' ', '\n'], ""));
    let mut back = GuestMessage::default();
    back.decode_from_bytes(&bytes).expect("decodes");
    assert_eq!(back, message);
}

fn name(text: &str) -> Bytes<u8, 1023> {
    Bytes::from_slice(text.as_bytes()).expect("short")
}

fn resize() -> ResizeResultMessage {
    ResizeResultMessage {
        target_format: ImageFormat::Qcow2,
        resolved_new_virtual_size: 1,
        file_size_before: 2,
        file_size_after: 300,
        action: ResizeActionCode::Grow,
        old_virtual_size: 4,
        preallocate: Some(ExtentMessage { offset: 5, length: 6 }),
        data_file_size_after: Some(8),
        extents_after: None,
        error: None,
    }
}

#[test]
fn resize_result_is_field_12() {
    golden(Payload::ResizeResult(resize()), "62 15 0802 1001 1802 20ac02 2801 3804 4204 0805 1006 4808");
}

#[test]
fn create_result_is_field_13() {
    golden(Payload::CreateResult(resize()), "6a 15 0802 1001 1802 20ac02 2801 3804 4204 0805 1006 4808");
}

#[test]
fn error_is_field_6_of_every_result() {
    let error = Some(ErrorMessage { code: 10, detail0: 1, detail1: 0, detail2: u64::MAX });
    let body = "16 3214 080a 110100000000000000 21ffffffffffffffff";
    golden(Payload::InfoResult(InfoResultMessage { error, ..Default::default() }), &format!("52 {body}"));
    golden(Payload::CheckResult(CheckResultMessage { error, ..Default::default() }), &format!("5a {body}"));
    golden(Payload::ResizeResult(ResizeResultMessage { error, ..Default::default() }), &format!("62 {body}"));
}

#[test]
fn unlock_result_is_field_14() {
    golden(Payload::UnlockResult(UnlockResultMessage { encryption: 3, error: None }), "72 02 0803");
}

#[test]
fn info_result() {
    let qcow2 = Qcow2InfoMessage {
        version: 3,
        refcount_bits: 16,
        lazy_refcounts: true,
        corrupt: true,
        extended_l2: true,
        zstd: true,
        data_file: Some(name("d")),
        data_file_raw: true,
    };
    let info = InfoResultMessage {
        format: ImageFormat::Raw,
        virtual_size: 512,
        cluster_size: Some(0),
        dirty: true,
        encrypted: true,
        backing_file: name("b"),
        backing_format: name("f"),
        qcow2: Some(qcow2),
        error: None,
        luks: None,
        vmdk: None,
    };
    golden(
        Payload::InfoResult(info),
        "52 24 0801 108004 1800 2001 2801 3a0162 420166
         4a11 0803 1010 1801 2001 2801 3001 3a0164 4001",
    );
}

#[test]
fn items() {
    let snapshot = SnapshotMessage {
        id: name("1"),
        name: name("s"),
        vm_state_size: 2,
        date_sec: 3,
        date_nsec: 4,
        vm_clock_nsec: 5,
        icount: Some(0),
    };
    golden(Payload::Snapshot(snapshot), "a201 10 0a0131 120173 1802 2003 2804 3005 3800");
    let bitmap = BitmapMessage { name: name("m"), granularity: 1, in_use: true, auto_load: true };
    golden(Payload::Bitmap(bitmap), "aa01 09 0a016d 1001 1801 2001");
    let finding = CheckFindingMessage {
        kind: FindingKind::Copied,
        table: FindingTable::RefcountTable,
        a: 1,
        b: 2,
        c: 3,
        d: 4,
        fault: FindingFault::BlockPastEnd,
        fixed: true,
    };
    golden(Payload::CheckFinding(finding), "b201 10 0804 1003 1801 2002 2803 3004 380b 4001");
}

#[test]
fn check_result() {
    let check = CheckResultMessage {
        format: ImageFormat::Qcow2,
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
        error: None,
    };
    golden(Payload::CheckResult(check), "5a 16 0802 1001 1802 2003 2804 3805 4006 4807 5008 5809 600a");
}

#[test]
fn extents_are_field_30_and_what_becomes_of_them_field_20() {
    let extent = DiskExtentMessage {
        name: name("x"),
        kind: 2,
        virtual_size: 1,
        cluster_size: Some(2),
        compressed: true,
    };
    golden(Payload::DiskExtent(extent), "f201 0b 0a0178 1002 1801 2002 2801");
    let after = ExtentsAfterMessage { kept: 1, last_length: Some(2), again: true };
    let outcome = ResizeResultMessage { extents_after: Some(after), ..ResizeResultMessage::default() };
    golden(Payload::ResizeResult(outcome), "62 09 a201 06 0801 1002 1801");
    let vmdk = VmdkInfoMessage { cid: 1, parent_cid: 2, create_type: name("y") };
    let info = InfoResultMessage { vmdk: Some(vmdk), ..InfoResultMessage::default() };
    golden(Payload::InfoResult(info), "52 0a a201 07 0801 1002 1a0179");
}
