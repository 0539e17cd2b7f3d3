//! Checks the image.
#![cfg_attr(target_os = "none", no_std, no_main)]

use instar_abi::message::GuestMessage_::Payload;
use instar_guest::{Guest, as_disks, operation};
use instar_ops::{CheckRequest, wire};

fn run(guest: Guest) {
    let request = guest.request(CheckRequest::from_config);
    let (host, files, scratch) = guest.into_files();
    let mut extents = files.from(1);
    let extents = &mut as_disks(&mut extents);
    let result = instar_ops::check_with(&mut files.disk(0), extents, &request, scratch, &mut |finding| {
        host.send_item(Payload::CheckFinding(wire::finding_to_wire(finding)));
    });
    host.send_result(Payload::CheckResult(wire::check_to_wire(&result)));
}

operation!(run);
