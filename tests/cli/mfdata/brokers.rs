//! amqplistener and mqttlistener, with RabbitMQ and mosquitto, and listener.

use std::fs;
use std::path::PathBuf;

use super::servers::{self, Server};
use super::{override_custom, plugin_of, worker};
use crate::steps::world::{Running, World};
use crate::support::Done;

/// Bytes that are no text.
const MESSAGE: &str = r"b'\x00\xff\r\n\x00'";
const BYTES: &[u8] = b"\0\xff\r\n\0";

/// A program in the environment of the plugin, which has the client of the broker.
#[track_caller]
fn python(world: &World, script: &str) -> String {
    Done::of(&mut world.command(&["python3", "-c", script])).succeeded().stdout.trim().to_owned()
}

/// Waits for so many files in `incoming`, complete under their names.
#[track_caller]
fn until_files(world: &World, listener: &Running, count: usize) -> Vec<PathBuf> {
    let files = || {
        let entries = fs::read_dir(world.input("incoming")).into_iter().flatten();
        let entries = entries.map(|entry| entry.unwrap().path());
        let is_complete = |path: &PathBuf| path.extension().is_none();
        entries.filter(is_complete).collect::<Vec<_>>()
    };
    world.until(&format!("{count} files\n{}", listener.log()), |_| files().len() >= count);
    let files = files();
    assert_eq!(files.len(), count, "{}", listener.log());
    files
}

/// The only message that came has become a file with these tags; it is taken away.
#[track_caller]
fn becomes_a_file(world: &World, listener: &Running, content: &[u8], tags: &[String]) {
    let files = until_files(world, listener, 1);
    assert_eq!(fs::read(&files[0]).unwrap(), content);
    assert_eq!(files[0].file_name().unwrap().len(), 32, "a name of its own");
    let told = Done::of(&mut world.command(&["print_tags", files[0].to_str().unwrap()])).succeeded().stdout;
    for tag in tags.iter().map(String::as_str).chain(["latest.core.step_counter = 0"]) {
        assert!(told.lines().any(|line| line == tag), "no `{tag}` in\n{told}");
    }
    assert!(told.contains("0.p.main.enter_step = "), "{told}");
    // The first step says what the file was called.
    assert!(!told.contains("original_basename"), "{told}");
    assert_eq!(world.files("tmp/p.main"), []);
    fs::remove_file(&files[0]).unwrap();
}

fn amqp_tags(server: &Server) -> Vec<String> {
    vec![
        "0.p.main.amqplistener_hostname = 127.0.0.1".to_owned(),
        format!("0.p.main.amqplistener_port = {}", server.port),
    ]
}

fn amqp_settings<'a>(port: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [&[("amqp_hostname", "127.0.0.1"), ("amqp_port", port)], more].concat()
}

/// What Python has to say to the broker.
fn at_amqp(server: &Server, script: &str) -> String {
    format!(
        "import pika\nconnection = pika.BlockingConnection(pika.ConnectionParameters('127.0.0.1', {}))\n\
         channel = connection.channel()\n{script}\nconnection.close()\n",
        server.port
    )
}

#[test]
fn messages_of_an_amqp_queue_become_files_though_the_broker_goes_away() {
    let server = servers::amqp();
    let world = plugin_of("amqplistener", &amqp_settings(&server.port_text(), &[]));
    let publish = at_amqp(&server, &format!("channel.basic_publish('', 'bar', {MESSAGE})"));
    let mut listener = worker(&world, "extra_daemon_amqplistener");
    listener.until("it has found nobody", |log| log.contains(&format!("127.0.0.1:{}: ", server.port)));
    for round in 1..=2 {
        server.start();
        listener.until("it listens", |log| log.matches("connected to").count() == round);
        python(&world, &publish);
        becomes_a_file(&world, &listener, BYTES, &amqp_tags(&server));
        server.stop();
    }
    listener.stop();
}

#[test]
fn messages_of_an_amqp_exchange_become_files_by_their_routing_key() {
    let server = servers::amqp().started();
    let settings = [
        ("amqp_exchange_name", "weather"),
        ("amqp_exchange_type", "topic"),
        ("amqp_routing_key", "fr.#"),
        ("amqp_queue_name", "mine"),
        ("amqp_auto_ack", "0"),
    ];
    let world = plugin_of("amqplistener", &amqp_settings(&server.port_text(), &settings));
    let mut listener = worker(&world, "extra_daemon_amqplistener");
    listener.until("it listens", |log| log.contains("connected to"));
    let publish = |key: &str, text: &str| {
        let call = format!("channel.basic_publish('weather', '{key}', b'{text}')");
        python(&world, &at_amqp(&server, &call));
    };
    let left = || {
        let count = "print(channel.queue_declare('mine', passive=True).method.message_count)";
        python(&world, &at_amqp(&server, count))
    };
    publish("de.berlin", "not ours");
    publish("fr.paris", "ours");
    becomes_a_file(&world, &listener, b"ours", &amqp_tags(&server));
    listener.stop();
    assert_eq!(left(), "0", "what is saved is acknowledged");

    // What cannot be saved goes back where it came from.
    override_custom(&world, &[("amqp_requeue", "1")]);
    let incoming = world.input("incoming");
    let mut listener = worker(&world, "extra_daemon_amqplistener");
    listener.until("it listens", |log| log.contains("connected to"));
    fs::remove_dir(&incoming).unwrap();
    publish("fr.lyon", "unsaved");
    listener.until("it says so", |log| log.contains("was not saved"));
    fs::create_dir(&incoming).unwrap();
    becomes_a_file(&world, &listener, b"unsaved", &amqp_tags(&server));
    listener.stop();
    assert_eq!(left(), "0");
}

fn mqtt_tags(server: &Server, topic: &str) -> Vec<String> {
    vec![
        format!("0.p.main.mqttlistener_topic = {topic}"),
        "0.p.main.mqttlistener_hostname = 127.0.0.1".to_owned(),
        format!("0.p.main.mqttlistener_port = {}", server.port),
    ]
}

fn publish_by_mqtt(world: &World, server: &Server, topic: &str, qos: u32) {
    let call = format!("single('{topic}', {MESSAGE}, {qos}, hostname='127.0.0.1', port={})", server.port);
    python(world, &format!("from paho.mqtt.publish import single\n{call}"));
}

#[test]
fn messages_of_mqtt_become_files_though_the_broker_goes_away() {
    let server = servers::mqtt();
    let port = server.port_text();
    let settings = [("mqtt_hostname", "127.0.0.1"), ("mqtt_port", &port), ("mqtt_topic", "weather/+")];
    let world = plugin_of("mqttlistener", &settings);
    let mut listener = worker(&world, "extra_daemon_mqttlistener");
    listener.until("it has found nobody", |log| log.contains(&format!("127.0.0.1:{port}: ")));
    for round in 1..=2 {
        server.start();
        listener.until("it listens", |log| log.matches("subscribed to weather/+").count() == round);
        publish_by_mqtt(&world, &server, "other", 0);
        publish_by_mqtt(&world, &server, "weather/paris", 0);
        becomes_a_file(&world, &listener, BYTES, &mqtt_tags(&server, "weather/paris"));
        server.stop();
    }
    listener.stop();
}

#[test]
fn what_comes_by_mqtt_while_nobody_listens_is_kept_for_a_known_client() {
    let server = servers::mqtt().started();
    let port = server.port_text();
    let settings = [
        ("mqtt_hostname", "127.0.0.1"),
        ("mqtt_port", &port),
        ("mqtt_clean_session", "0"),
        ("mqtt_qos", "2"),
        ("mqtt_client_id", "me"),
    ];
    let world = plugin_of("mqttlistener", &settings);
    let mut listener = worker(&world, "extra_daemon_mqttlistener");
    listener.until("it listens", |log| log.contains("subscribed to #"));
    listener.stop();
    publish_by_mqtt(&world, &server, "a/b", 2);
    let listener = worker(&world, "extra_daemon_mqttlistener");
    becomes_a_file(&world, &listener, BYTES, &mqtt_tags(&server, "a/b"));
    let log = listener.stop();
    assert!(log.contains("disconnected"), "{log}");

    // One that cannot be saved is not acknowledged.
    let mut listener = worker(&world, "extra_daemon_mqttlistener");
    listener.until("it listens", |log| log.contains("subscribed to #"));
    fs::remove_dir(world.input("incoming")).unwrap();
    publish_by_mqtt(&world, &server, "a/c", 1);
    assert!(!listener.child.wait().unwrap().success());
    assert!(listener.log().contains("a message of a/c was not saved"), "{}", listener.log());
    let listener = worker(&world, "extra_daemon_mqttlistener");
    becomes_a_file(&world, &listener, BYTES, &mqtt_tags(&server, "a/c"));
    listener.stop();

    override_custom(&world, &[("mqtt_client_id", "")]);
    let mut listener = worker(&world, "extra_daemon_mqttlistener");
    assert_eq!(listener.child.wait().unwrap().code(), Some(2));
    assert!(listener.log().contains("mqtt_client_id is required"), "{}", listener.log());
}

#[test]
fn a_listener_listens_until_it_is_told_to_stop() {
    let world = plugin_of("listener", &[]);
    let mut listener = worker(&world, "extra_daemon_listener");
    listener.until("it listens", |log| log.contains("Listening..."));
    listener.signal(rustix::process::Signal::TERM);
    listener.child.wait().unwrap();
}
