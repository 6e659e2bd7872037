//! Free ports for the processes that tests start.

use std::{
    net::{Ipv4Addr, TcpListener},
    sync::atomic::{AtomicU16, Ordering},
};

/// The first port to try. Below those that the kernel gives to outgoing connections, so that a server that is killed finds its port free.
const FIRST: u16 = 12_000;
/// How many there are.
const COUNT: u16 = 18_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// A port of loopback on which nobody listens; each answer is another one.
pub fn free_port() -> u16 {
    let start = (std::process::id() % 600) as u16 * 30;
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + start.wrapping_add(step) % COUNT;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no port is free between {FIRST} and {}", FIRST + COUNT);
}
