//! The tests' own proxy between Podium and Redis: what networks, broken servers and other people's programs do to replies.

use std::{
    collections::VecDeque,
    net::Ipv4Addr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, watch},
    task::JoinHandle,
};

use crate::{
    damage::damaged,
    ports::free_port,
    resp::{first_value, words},
};

/// What is done to connections and replies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Mode {
    /// Nothing.
    Pass,
    /// Each reply comes later.
    Delay(Duration),
    /// Of every so many replies one is cut behind so many bytes, and its connection with it.
    Cut { every: u64, after: usize },
    /// Replies are bytes at random.
    Noise,
    /// Replies are right RESP of another kind than asked for.
    WrongKind,
    /// Texts in replies are a few bytes shorter or longer, in right RESP.
    WrongSize,
    /// Of every so many replies one comes twice, so that all behind it answer what was asked before.
    Repeat { every: u64 },
    /// Requests are taken and not answered.
    BlackHole,
    /// The same for connections that get messages of their own accord: those with `CLIENT TRACKING` or `SUBSCRIBE`.
    DeafEar,
    /// Nobody listens, and no connection is held.
    Refuse,
}

/// What went through.
#[derive(Debug, Default)]
pub struct Traffic {
    /// Commands, and pieces in which they came: a piece is one write of the other side, a round trip where nothing else is under way.
    pub commands: AtomicU64,
    pub pieces: AtomicU64,
    /// Replies that were read, and those of them that were changed, cut or held back.
    pub replies: AtomicU64,
    pub spoilt: AtomicU64,
    /// Connections that were accepted.
    pub connections: AtomicU64,
    /// Names of the commands, in their order.
    pub names: Mutex<Vec<String>>,
}

/// One proxy in front of one server.
pub struct Proxy {
    pub port: u16,
    pub traffic: Arc<Traffic>,
    mode: watch::Sender<Mode>,
    listening: JoinHandle<()>,
}

impl Proxy {
    /// Begins to listen, and passes everything.
    pub fn before(server: u16) -> Self {
        let (port, traffic) = (free_port(), Arc::<Traffic>::default());
        let (mode, seen) = watch::channel(Mode::Pass);
        let listening = tokio::spawn(listen(port, server, seen, Arc::clone(&traffic)));
        Self { port, traffic, mode, listening }
    }

    /// `redis://` of the proxy.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Does something else from now on, also to the connections that are there.
    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// The names of the commands about users, in their order.
    pub fn names_of_readers(&self) -> Vec<String> {
        let names = self.traffic.names.lock().unwrap();
        names.iter().filter(|name| speaks_of_users(name)).cloned().collect()
    }

    /// How many replies were spoilt so far.
    pub fn spoilt(&self) -> u64 {
        self.traffic.spoilt.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listening.abort();
        self.mode.send_replace(Mode::Refuse);
    }
}

async fn listen(port: u16, server: u16, seen: watch::Receiver<Mode>, traffic: Arc<Traffic>) {
    let mut mode = seen.clone();
    loop {
        if mode.wait_for(|mode| *mode != Mode::Refuse).await.is_err() {
            return;
        }
        let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await else {
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        };
        loop {
            tokio::select! {
                refused = mode.wait_for(|mode| *mode == Mode::Refuse) => match refused {
                    Ok(_) => break,
                    Err(_) => return,
                },
                Ok((caller, _)) = listener.accept() => {
                    traffic.connections.fetch_add(1, Ordering::Relaxed);
                    tokio::spawn(join(caller, server, seen.clone(), Arc::clone(&traffic)));
                }
            }
        }
    }
}

/// What both directions of one connection know.
struct Link {
    mode: watch::Receiver<Mode>,
    traffic: Arc<Traffic>,
    /// Names of commands that are not answered yet.
    asked: Mutex<VecDeque<String>>,
    /// Whether it gets messages of the server's own accord.
    listens: AtomicBool,
    /// Whether something of it was swallowed: then nothing goes through any more, as behind a router that forgot it.
    lost: AtomicBool,
}

impl Link {
    fn mode(&self) -> Mode {
        *self.mode.borrow()
    }

    /// Whether what is there now is swallowed.
    fn swallows(&self) -> bool {
        let now = match self.mode() {
            Mode::BlackHole => true,
            Mode::DeafEar => self.listens.load(Ordering::Relaxed),
            _ => false,
        };
        self.lost.fetch_or(now, Ordering::Relaxed) || now
    }
}

/// What is to be written, when, and whether the connection ends behind it.
struct Outgoing {
    due: Instant,
    bytes: Vec<u8>,
    is_last: bool,
}

async fn join(caller: TcpStream, server: u16, mode: watch::Receiver<Mode>, traffic: Arc<Traffic>) {
    let mut refused = mode.clone();
    let (asked, listens, lost) = Default::default();
    let link = Link { mode, traffic, asked, listens, lost };
    let both = async {
        let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, server)).await else { return };
        let (_, _) = (caller.set_nodelay(true), server.set_nodelay(true));
        let (from_caller, to_caller) = caller.into_split();
        let (from_server, to_server) = server.into_split();
        let (queue, queued) = mpsc::unbounded_channel();
        tokio::select! {
            () = requests(&link, from_caller, to_server) => {}
            () = replies(&link, from_server, queue) => {}
            () = write(queued, to_caller) => {}
        }
    };
    tokio::select! {
        () = both => {}
        _ = refused.wait_for(|mode| *mode == Mode::Refuse) => {}
    }
}

async fn requests(link: &Link, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    let mut bytes = Vec::new();
    while from.read_buf(&mut bytes).await.is_ok_and(|read| read > 0) {
        link.traffic.pieces.fetch_add(1, Ordering::Relaxed);
        let mut whole = 0;
        while let Some(command) = first_value(&bytes[whole..]) {
            note(link, &words(&bytes[whole..], &command));
            whole += command.length;
        }
        let sent: Vec<u8> = bytes.drain(..whole).collect();
        if !link.swallows() && to.write_all(&sent).await.is_err() {
            return;
        }
    }
}

fn note(link: &Link, words: &[&[u8]]) {
    let text = |at: usize| words.get(at).map(|word| String::from_utf8_lossy(word).to_uppercase());
    let name = match (text(0), text(1)) {
        (Some(name), Some(second)) if name == "CLIENT" => format!("{name} {second}"),
        (name, _) => name.unwrap_or_default(),
    };
    if name == "CLIENT TRACKING" || name.contains("SUBSCRIBE") {
        link.listens.store(true, Ordering::Relaxed);
    }
    link.traffic.commands.fetch_add(1, Ordering::Relaxed);
    link.traffic.names.lock().unwrap().push(name.clone());
    link.asked.lock().unwrap().push_back(name);
}

async fn replies(link: &Link, mut from: OwnedReadHalf, queue: mpsc::UnboundedSender<Outgoing>) {
    let mut bytes = Vec::new();
    while from.read_buf(&mut bytes).await.is_ok_and(|read| read > 0) {
        while let Some(value) = first_value(&bytes) {
            let reply: Vec<u8> = bytes.drain(..value.length).collect();
            let spoilt = spoil(link, reply);
            if !link.swallows() && queue.send(spoilt).is_err() {
                return;
            }
        }
    }
}

fn spoil(link: &Link, reply: Vec<u8>) -> Outgoing {
    let (mode, traffic) = (link.mode(), &link.traffic);
    // Messages of the server's own accord answer no command.
    let is_message = reply.first() == Some(&b'>');
    let command = if is_message { None } else { link.asked.lock().unwrap().pop_front() };
    let number = traffic.replies.fetch_add(1, Ordering::Relaxed);
    let due = match mode {
        Mode::Delay(time) => Instant::now() + time,
        _ => Instant::now(),
    };
    if !command.is_some_and(|name| speaks_of_users(&name)) {
        return Outgoing { due, bytes: reply, is_last: false };
    }
    let sent = damaged(mode, &reply, number);
    if sent.as_deref() != Some(reply.as_slice()) {
        traffic.spoilt.fetch_add(1, Ordering::Relaxed);
    }
    let is_last = sent.is_none();
    let cut = |after: usize| reply[..after.min(reply.len() - 1)].to_vec();
    let bytes =
        sent.unwrap_or_else(|| cut(if let Mode::Cut { after, .. } = mode { after } else { 0 }));
    Outgoing { due, bytes, is_last }
}

async fn write(mut queued: mpsc::UnboundedReceiver<Outgoing>, mut to: OwnedWriteHalf) {
    while let Some(Outgoing { due, bytes, is_last }) = queued.recv().await {
        tokio::time::sleep_until(due.into()).await;
        if to.write_all(&bytes).await.is_err() || is_last {
            return;
        }
    }
}

/// Whether a command's reply is about users; those by which a client comes to know the server are left alone.
fn speaks_of_users(name: &str) -> bool {
    let others = [
        "HELLO", "AUTH", "SELECT", "INFO", "PING", "CLUSTER", "COMMAND", "SCRIPT", "SENTINEL",
        "ROLE",
    ];
    !name.starts_with("CLIENT") && !name.contains("SUBSCRIBE") && !others.contains(&name)
}
