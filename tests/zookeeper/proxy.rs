//! A wire to ZooKeeper that can be cut, or made to lose answers.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

pub struct Proxy {
    server: String,
    port: u16,
    listener: Option<JoinHandle<()>>,
    cut: watch::Sender<bool>,
    /// The next answers are lost, and the connection with them.
    swallow: Arc<AtomicBool>,
}

impl Proxy {
    pub async fn start(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut proxy = Self {
            server: server.to_owned(),
            port,
            listener: None,
            cut: watch::channel(false).0,
            swallow: Arc::default(),
        };
        proxy.listen(listener);
        proxy
    }

    pub fn in_front_of(&self, chroot: &str) -> String {
        format!("127.0.0.1:{}{chroot}", self.port)
    }

    /// Ends all connections and refuses new ones.
    pub async fn cut(&mut self) {
        let listener = self.listener.take().unwrap();
        listener.abort();
        let _ = listener.await;
        self.cut.send_replace(true);
    }

    pub async fn restore(&mut self) {
        self.cut.send_replace(false);
        let listener = TcpListener::bind(("127.0.0.1", self.port)).await.unwrap();
        self.listen(listener);
    }

    pub async fn swallow(&mut self) {
        self.swallow.store(true, Ordering::SeqCst);
    }

    pub fn has_swallowed(&self) -> bool {
        !self.swallow.load(Ordering::SeqCst)
    }

    fn listen(&mut self, listener: TcpListener) {
        let (server, cut, swallow) = (self.server.clone(), self.cut.subscribe(), Arc::clone(&self.swallow));
        self.listener = Some(tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(relay(client, server.clone(), cut.clone(), Arc::clone(&swallow)));
            }
        }));
    }
}

async fn relay(client: TcpStream, server: String, mut cut: watch::Receiver<bool>, swallow: Arc<AtomicBool>) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let answers = async {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(read @ 1..) = from_server.read(&mut buffer).await {
            if swallow.load(Ordering::SeqCst) {
                // The others of the same burst, too.
                tokio::time::sleep(std::time::Duration::from_millis(300)).await;
                swallow.store(false, Ordering::SeqCst);
                return;
            }
            if to_client.write_all(&buffer[..read]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = answers => {}
        _ = tokio::io::copy(&mut from_client, &mut to_server) => {}
        _ = cut.wait_for(|cut| *cut) => {}
    }
}
