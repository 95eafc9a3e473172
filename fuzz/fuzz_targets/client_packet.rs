//! Whatever a client sends: bytes on a connection, and payloads of its packets, before and after the login.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use shardloom::wire::capabilities::Capabilities;
use shardloom::wire::command::Command;
use shardloom::wire::handshake::{Attributes, ChangeUser, LoginHead, LoginRequest};
use shardloom::wire::link::Link;
use shardloom::wire::statement::{decode_params, put_execute};
use shardloom::wire::stream::Stream;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::runtime::{Builder, Runtime};

fuzz_target!(|data: &[u8]| {
    let Some((&[choice, count], payload)) = data.split_first_chunk::<2>() else { return };
    match choice % 3 {
        0 => framing(payload),
        1 => login(payload),
        _ => command(payload, usize::from(count)),
    }
});

/// Reads packets until the connection ends or breaks.
fn framing(bytes: &[u8]) {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| Builder::new_current_thread().enable_io().build().expect("a runtime"));
    runtime.block_on(async {
        let (mut near, far) = UnixStream::pair().expect("a pair of sockets");
        // What fits a socket's buffer, so that nobody has to read meanwhile.
        near.write_all(&bytes[..bytes.len().min(16 << 10)]).await.expect("room");
        drop(near);
        let mut link = Link::new(Stream::unix(far), 1 << 20);
        while let Ok(Some(packet)) = link.read_packet().await {
            assert_eq!(link.payload(&packet).len(), packet.len());
            if packet.is_empty() {
                link.start_command();
            }
        }
    });
}

fn login(payload: &[u8]) {
    let _ = LoginHead::decode(payload);
    if let Ok(request) = LoginRequest::decode(payload) {
        let _ = Attributes::new(request.attributes).count();
    }
    for capabilities in [Capabilities::NONE, Capabilities::PLUGIN_AUTH | Capabilities::CONNECT_ATTRS] {
        let _ = ChangeUser::decode(payload, capabilities);
    }
}

fn command(payload: &[u8], count: usize) {
    let Ok(command) = Command::decode(payload) else { return };
    let mut again = Vec::new();
    command.encode(&mut again);
    assert_eq!(Command::decode(&again).expect("what was written can be read"), command);
    let Command::StmtExecute(execute) = command else { return };
    let (mut types, mut params) = (Vec::new(), Vec::new());
    let long_data = |i| (i % 5 == 4).then_some(&payload[..1]);
    if decode_params(&execute, count, &mut types, long_data, &mut params).is_ok() {
        assert_eq!(params.len(), count);
        again.clear();
        put_execute(&mut again, 1, 0, &params);
        let Ok(Command::StmtExecute(written)) = Command::decode(&again) else { panic!("no execute") };
        decode_params(&written, count, &mut Vec::new(), |_| None, &mut Vec::new())
            .expect("what was written can be read");
    }
}
