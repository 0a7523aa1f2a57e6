//! The same in a module that is up: with the limits of the configuration, and with retries.

use std::fs;
use std::path::PathBuf;

use super::add_plugin;
use super::servers::{self, PASSWORD};
use crate::steps::world::{Running, World};
use crate::support::Done;

/// mfdata with the plugins that a test adds, and no others.
fn module() -> World {
    let world = World::new();
    // It brings its own.
    world.stop_redis();
    fs::create_dir_all(world.home("config")).unwrap();
    let settings = "[internal_plugins]\ninstall_guess_file_type=0\ninstall_switch=0\n";
    fs::write(world.home("config/config.ini"), settings).unwrap();
    world
}

fn up(world: &World) -> Running {
    let mut up = world.run_beside(world.sandbox.mwp(["up", "--module", "mfdata"]));
    up.until("it is up", |log| log.contains("mfdata is up"));
    up
}

fn log(world: &World, name: &str) -> String {
    fs::read_to_string(world.home("log").join(name)).unwrap_or_default()
}

#[test]
fn what_cannot_be_sent_is_tried_again_until_the_server_is_back() {
    let keys = tempfile::tempdir().unwrap();
    let key = keys.path().join("key");
    let (ftp, sftp, http) = (servers::ftp(), servers::sftp(&keys.path().join("key.pub")), servers::http());
    servers::make_key(&["-t", "rsa", "-N", ""], &key);
    let user = Done::of(std::process::Command::new("id").arg("-un")).succeeded().stdout;
    let ports = [&ftp, &sftp, &http].map(servers::Server::port_text);
    let url = format!("http://127.0.0.1:{}/received/{{ORIGINAL_BASENAME}}", http.port);
    let plugins: [(&str, &[(&str, &str)]); 3] = [
        (
            "ftpsend",
            &[
                ("ftp_hostname", "127.0.0.1"),
                ("ftp_port", &ports[0]),
                ("ftp_username", "anonymous"),
                ("ftp_password", PASSWORD),
                ("ftp_directory", "received"),
            ],
        ),
        (
            "sftpsend",
            &[
                ("sftp_hostname", "127.0.0.1"),
                ("sftp_port", &ports[1]),
                ("sftp_username", user.trim()),
                ("sftp_key_file", key.to_str().unwrap()),
                ("sftp_directory", "received"),
            ],
        ),
        ("httpsend", &[("http_url", &url), ("http_method", "PUT")]),
    ];
    let world = module();
    let patient = [("retry_backoff", "0"), ("retry_total", "1000")];
    for (template, settings) in plugins {
        add_plugin(&world, template, template, &[settings, &patient].concat());
    }
    let up = up(&world);
    for (template, _) in plugins {
        let inbox = world.inbox(template, "main");
        fs::write(inbox.join("a.txt.t"), template).unwrap();
        fs::rename(inbox.join("a.txt.t"), inbox.join("a.txt")).unwrap();
    }
    for (template, _) in plugins {
        world.until(&format!("{template} has failed twice"), |world| {
            log(world, &format!("step_{template}_main.log")).matches("Bad processing status").count() >= 2
        });
    }
    for (server, (template, _)) in [&ftp, &sftp, &http].into_iter().zip(plugins) {
        server.start();
        let expected = [("a.txt".to_owned(), template.as_bytes().to_vec())];
        world.until(&format!("{template} has sent it"), |_| server.received() == expected);
    }
    up.stop();
    for (template, _) in plugins {
        for dir in ["step.", "tmp/", "trash/"] {
            assert_eq!(world.files(&format!("{dir}{template}.main")), [], "{dir}{template}");
        }
    }
}

#[test]
fn listeners_make_files_while_their_module_is_up() {
    let (amqp, mqtt) = (servers::amqp().started(), servers::mqtt().started());
    let ports = [&amqp, &mqtt].map(servers::Server::port_text);
    let world = module();
    let got = world.sandbox.path("got");
    let dest_dir = ("dest_dir", got.to_str().unwrap());
    let amqp_settings = [("amqp_hostname", "127.0.0.1"), ("amqp_port", ports[0].as_str()), dest_dir];
    let mqtt_settings = [("mqtt_hostname", "127.0.0.1"), ("mqtt_port", ports[1].as_str()), dest_dir];
    add_plugin(&world, "amqplistener", "amqplistener", &amqp_settings);
    add_plugin(&world, "mqttlistener", "mqttlistener", &mqtt_settings);
    let up = up(&world);
    let is_connected = |name: &str, said: &str| {
        world.until(&format!("{name} listens"), |world| {
            log(world, &format!("extra_{name}_{name}.log")).contains(said)
        });
    };
    is_connected("amqplistener", "connected to");
    is_connected("mqttlistener", "subscribed to");
    let amqp_message = format!(
        "import pika; connection = pika.BlockingConnection(pika.ConnectionParameters('127.0.0.1', {}))\n\
         connection.channel().basic_publish('', 'bar', b'amqp'); connection.close()",
        amqp.port
    );
    let mqtt_message = format!(
        "from paho.mqtt.publish import single; single('a', b'mqtt', hostname='127.0.0.1', port={})",
        mqtt.port
    );
    for (plugin, script) in [("amqplistener", amqp_message), ("mqttlistener", mqtt_message)] {
        Done::of(&mut world.command_of(plugin, &["python3", "-c", &script])).succeeded();
    }
    let contents = || {
        let entries = fs::read_dir(&got).into_iter().flatten().map(|entry| entry.unwrap().path());
        let complete = entries.filter(|path: &PathBuf| path.extension().is_none());
        let mut contents: Vec<_> = complete.map(|path| fs::read_to_string(path).unwrap()).collect();
        contents.sort();
        contents
    };
    world.until("both are files", |_| contents() == ["amqp", "mqtt"]);
    up.stop();
}
