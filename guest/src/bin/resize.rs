//! Resizes the image.
#![cfg_attr(target_os = "none", no_std, no_main)]

use instar_abi::message::GuestMessage_::Payload;
use instar_guest::{Files, Guest, as_disks, as_layers, operation};
use instar_ops::{
    Attached, CheckFinding, Companions, Disk, OpError, ResizeOutcome, ResizeRequest, resize_mended, wire,
};

fn run(guest: Guest) {
    let request = guest.request(ResizeRequest::from_config);
    let attached = guest.request(Attached::from_config);
    let (host, files, scratch) = guest.into_files();
    assert!(attached.all_files() == files.count(), "there are other files than there should be");
    let mut tell = |finding| host.send_item(Payload::CheckFinding(wire::finding_to_wire(finding)));
    let result = resize(&files, &attached, &request, scratch, &mut tell);
    host.send_result(Payload::ResizeResult(wire::resize_to_wire(&result)));
}

fn resize(
    files: &Files,
    attached: &Attached,
    request: &ResizeRequest,
    scratch: &mut [u8],
    tell: &mut dyn FnMut(CheckFinding),
) -> Result<ResizeOutcome, OpError> {
    let mut own = files.from(attached.files());
    let mut data_file = attached.data_file.then(|| files.disk(Attached::DATA_FILE));
    let mut disks = files.layers(attached.first_layer(), &attached.layers);
    let mut layers = as_layers(&mut disks, &attached.layers);
    let mut extents = as_disks(&mut own);
    let mut companions = Companions {
        data_file: data_file.as_mut().map(|file| file as &mut dyn Disk),
        backing: &mut layers,
        detached: attached.detached,
        unlocked: attached.unlocked,
        extents: &mut extents,
    };
    resize_mended(&mut files.disk(0), &mut companions, request, scratch, tell)
}

operation!(run);
