//! A ZooKeeper of a test's own, to be killed and restarted.

use std::{
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;
use tokio::net::TcpStream;

pub struct Server {
    classpath: String,
    dir: TempDir,
    port: u16,
    process: Child,
}

impl Server {
    pub async fn start() -> Option<Self> {
        let Ok(classpath) = std::env::var("MONEDULA_ZOOKEEPER_CLASSPATH") else {
            println!("skipped: MONEDULA_ZOOKEEPER_CLASSPATH is not set");
            return None;
        };
        let dir = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = format!(
            "tickTime=500\ndataDir={}\nclientPort={port}\nadmin.enableServer=false\n",
            dir.path().join("data").display()
        );
        std::fs::write(dir.path().join("zk.cfg"), config).unwrap();
        let process = launch(&classpath, &dir);
        let server = Self { classpath, dir, port, process };
        server.wait().await;
        Some(server)
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// As the power cut does it.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    pub async fn restart(&mut self) {
        self.process = launch(&self.classpath, &self.dir);
        self.wait().await;
    }

    async fn wait(&self) {
        for _ in 0..300 {
            if TcpStream::connect(self.address()).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("ZooKeeper does not start");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn launch(classpath: &str, dir: &TempDir) -> Child {
    Command::new("java")
        .args(["-Xmx256m", "-cp", classpath, "org.apache.zookeeper.server.quorum.QuorumPeerMain", "zk.cfg"])
        .current_dir(dir.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("java")
}
