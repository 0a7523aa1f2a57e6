//! Servers of a test: on the loopback, with a directory, a configuration and a port of their own, ended with the test.

use std::cell::RefCell;
use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;

use crate::support::Done;

/// Longer than any of them takes to start, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(120);
pub const PASSWORD: &str = "secret";

/// From its directory and its port.
type StartCommand = dyn Fn(&Path, u16) -> Command;

/// A server that can be stopped and started again.
pub struct Server {
    dir: TempDir,
    pub port: u16,
    command: Box<StartCommand>,
    processes: RefCell<Vec<Child>>,
}

impl Server {
    /// One that does not run yet.
    fn new(command: impl Fn(&Path, u16) -> Command + 'static) -> Server {
        let dir = tempfile::Builder::new().prefix("mwp-server-").tempdir().unwrap();
        fs::create_dir(dir.path().join("received")).unwrap();
        Server { dir, port: free_port(), command: Box::new(command), processes: RefCell::default() }
    }

    pub fn started(self) -> Server {
        self.start();
        self
    }

    pub fn start(&self) {
        let mut command = (self.command)(self.dir.path(), self.port);
        self.spawn(&mut command);
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let ended = self.processes.borrow_mut().last_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "{command:?}: {ended:?}\n{}", self.log());
            assert!(begun.elapsed() < PATIENCE, "{command:?} does not listen\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn spawn(&self, command: &mut Command) {
        let log = File::options().create(true).append(true).open(self.dir.path().join("log")).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        // Its sessions are processes of their own.
        self.processes.borrow_mut().push(command.process_group(0).spawn().unwrap());
    }

    /// Ends it at once, with all its sessions.
    pub fn stop(&self) {
        for mut child in self.processes.borrow_mut().drain(..) {
            let _ = kill_process_group(Pid::from_child(&child), Signal::KILL);
            let _ = child.wait();
        }
    }

    pub fn port_text(&self) -> String {
        self.port.to_string()
    }

    pub fn path(&self, relative: &str) -> PathBuf {
        self.dir.path().join(relative)
    }

    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.path("log")).unwrap_or_default()).into_owned()
    }

    /// Names and contents of what it has received, sorted.
    pub fn received(&self) -> Vec<(String, Vec<u8>)> {
        let entries = fs::read_dir(self.path("received")).unwrap().map(|entry| entry.unwrap().path());
        let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
        let mut files: Vec<_> = entries.map(|path| (name(&path), fs::read(&path).unwrap())).collect();
        files.sort();
        files
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A port that nobody listens at, and stays free while its server is away: the kernel gives those from 32768 to clients.
fn free_port() -> u16 {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let next = || 10_000 + (std::process::id() * 13 + COUNT.fetch_add(1, Ordering::Relaxed)) % 10_000;
    std::iter::repeat_with(next).filter_map(|port| u16::try_from(port).ok()).find(is_free).unwrap()
}

/// vsftpd: the user is `anonymous`, who has a password here. Nobody else's is asked of the machine.
pub fn ftp() -> Server {
    Server::new(|dir, port| {
        let dir = dir.display();
        fs::write(format!("{dir}/passwords"), format!("{PASSWORD}\n")).unwrap();
        let config = format!(
            "listen=YES\nlisten_address=127.0.0.1\nlisten_port={port}\nrun_as_launching_user=YES\nlocal_enable=NO\n\
             anonymous_enable=YES\nanon_root={dir}\nsecure_email_list_enable=YES\nemail_password_file={dir}/passwords\n\
             write_enable=YES\nanon_upload_enable=YES\nanon_other_write_enable=YES\nallow_writeable_chroot=YES\n\
             secure_chroot_dir={dir}\nseccomp_sandbox=NO\nxferlog_enable=YES\nlog_ftp_protocol=YES\n\
             vsftpd_log_file={dir}/log\n"
        );
        fs::write(format!("{dir}/vsftpd.conf"), config).unwrap();
        let mut command = Command::new("/usr/sbin/vsftpd");
        command.arg(format!("{dir}/vsftpd.conf"));
        command
    })
}

/// sshd for the user of the test. As root it sees a password of ours in place of the machine's.
pub fn sftp(authorized_keys: &Path) -> Server {
    let authorized_keys = authorized_keys.to_owned();
    Server::new(move |dir, port| {
        let keys = authorized_keys.display();
        let dir = dir.display();
        let host_key = format!("{dir}/host_key");
        if !Path::new(&host_key).exists() {
            make_key(&["-t", "ed25519", "-N", ""], Path::new(&host_key));
        }
        let config = format!(
            "ListenAddress 127.0.0.1\nPort {port}\nHostKey {host_key}\nPidFile none\nStrictModes no\nUsePAM no\n\
             PermitRootLogin yes\nAuthorizedKeysFile {keys}\nSubsystem sftp internal-sftp\n\
             ForceCommand internal-sftp -d {dir}\n"
        );
        fs::write(format!("{dir}/sshd_config"), config).unwrap();
        let mut command = Command::new("sh");
        command.current_dir(dir.to_string());
        let sshd = "exec /usr/sbin/sshd -D -e -f sshd_config";
        if !crate::support::users::is_root() {
            command.args(["-c", sshd]);
            return command;
        }
        let hashed = Done::of(Command::new("openssl").args(["passwd", "-6", PASSWORD])).succeeded().stdout;
        fs::write(format!("{dir}/shadow"), format!("root:{}:20000:0:99999:7:::\n", hashed.trim())).unwrap();
        // The mounts are its own; `sshd` has no password either.
        let private = "mount --bind shadow /etc/shadow && mount -t tmpfs none /run && mkdir -m 755 /run/sshd";
        command.args(["-c", "exec unshare -m sh -c \"$1\"", "sh", &format!("{private} && {sshd}")]);
        command
    })
}

/// A pair of keys; the public one is beside it, as `.pub`.
pub fn make_key(options: &[&str], file: &Path) {
    Done::of(Command::new("ssh-keygen").arg("-q").args(options).arg("-f").arg(file)).succeeded();
}

/// nginx: `PUT /received/NAME` stores, `POST /any` stores under a number; other methods, and `/away`, are answered with 405 and
/// 500. Its log has a line for each request.
pub fn http() -> Server {
    Server::new(|dir, port| {
        let dir = dir.display();
        let user = if crate::support::users::is_root() { "user root;" } else { "" };
        let temporary: String = ["proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {dir}/temporary;"))
            .concat();
        let config = format!(
            "{user} daemon off; worker_processes 1; pid {dir}/pid; events {{}}\n\
             http {{ {temporary} log_format line '$request_method $request_uri $status'; access_log {dir}/log line;\n\
             server {{ listen 127.0.0.1:{port}; root {dir};\n\
             location /received/ {{ client_body_temp_path {dir}/temporary; dav_methods PUT; }}\n\
             location /away {{ return 500; }} location /taken {{ return 201; }}\n\
             location /posted {{ client_body_temp_path {dir}/received; client_body_in_file_only on;\n\
             proxy_pass http://127.0.0.1:{port}/taken; proxy_set_body off; }} }} }}\n"
        );
        fs::write(format!("{dir}/nginx.conf"), config).unwrap();
        let mut command = Command::new("/usr/sbin/nginx");
        command.args(["-e", "stderr", "-c"]).arg(format!("{dir}/nginx.conf"));
        command
    })
}

/// mosquitto, which lets anybody in.
pub fn mqtt() -> Server {
    Server::new(|dir, port| {
        let dir = dir.display();
        let user = if crate::support::users::is_root() { "user root\n" } else { "" };
        let config = format!(
            "{user}listener {port} 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location {dir}/\n"
        );
        fs::write(format!("{dir}/mosquitto.conf"), config).unwrap();
        let mut command = Command::new("/usr/sbin/mosquitto");
        command.arg("-c").arg(format!("{dir}/mosquitto.conf"));
        command
    })
}

/// RabbitMQ, with its users `guest` and `/`, and with a name service of its own, which would stay otherwise.
pub fn amqp() -> Server {
    let names = free_port().to_string();
    let distribution = free_port().to_string();
    Server::new(move |dir, port| {
        let mut command = Command::new("sh");
        command.args([
            "-c",
            "epmd -address 127.0.0.1 -port $ERL_EPMD_PORT & exec /usr/lib/rabbitmq/bin/rabbitmq-server",
        ]);
        command.env("HOME", dir).env("ERL_EPMD_PORT", &names).env("RABBITMQ_DIST_PORT", &distribution);
        command.env("RABBITMQ_NODENAME", format!("test{port}@localhost"));
        command.env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1").env("RABBITMQ_NODE_PORT", port.to_string());
        for (name, file) in [
            ("MNESIA_BASE", "data"),
            ("LOG_BASE", "logs"),
            ("PID_FILE", "pid"),
            ("CONFIG_FILE", "rabbitmq"),
            ("ENABLED_PLUGINS_FILE", "enabled_plugins"),
            ("CONF_ENV_FILE", "none"),
        ] {
            command.env(format!("RABBITMQ_{name}"), dir.join(file));
        }
        // Else a shell stays in front of it.
        command.env("RUNNING_UNDER_SYSTEMD", "true");
        command
    })
}
