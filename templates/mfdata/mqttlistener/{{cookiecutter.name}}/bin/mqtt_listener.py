#!/usr/bin/env python3

import signal

import paho.mqtt.client as mqtt

from message_listener import RETRY_WAIT, MessageListener


class MqttListener(MessageListener):
    def init(self):
        super().init()
        value = self.get_custom_config_value
        self.hostname, self.port = value("mqtt_hostname"), value("mqtt_port", transform=int)
        self.topic, self.qos = value("mqtt_topic"), value("mqtt_qos", transform=int)
        self.keepalive = value("mqtt_keepalive", transform=int)
        clean = value("mqtt_clean_session") == "1"
        self.is_kept = not clean
        client_id = value("mqtt_client_id", default="")
        client_id = "" if client_id == "null" else client_id
        if not clean and not client_id:
            self.error_and_die("mqtt_client_id is required in [custom] of config.ini with mqtt_clean_session=0")
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=client_id, clean_session=clean)
        self.client.on_connect = self.on_connect
        self.client.on_subscribe = self.on_subscribe
        self.client.on_disconnect = self.on_disconnect
        self.client.on_message = self.on_message
        self.client.reconnect_delay_set(RETRY_WAIT, RETRY_WAIT)

    def on_connect(self, client, userdata, flags, reason, properties):
        if reason.is_failure:
            self.warning("the broker refuses us: %s", reason)
            return
        self.info("connected to %s:%i", self.hostname, self.port)
        # With every connection: the broker may have forgotten.
        client.subscribe(self.topic, self.qos)

    def on_subscribe(self, client, userdata, mid, reasons, properties):
        for reason in reasons:
            if reason.is_failure:
                self.warning("the broker refuses %s: %s", self.topic, reason)
            else:
                self.info("subscribed to %s", self.topic)

    def on_disconnect(self, client, userdata, flags, reason, properties):
        self.info("disconnected: %s", reason)

    def on_message(self, client, userdata, message):
        try:
            self.save(
                message.payload,
                mqttlistener_topic=message.topic,
                mqttlistener_hostname=self.hostname,
                mqttlistener_port=self.port,
            )
        except Exception:
            self.exception("a message of %s was not saved", message.topic)
            if self.is_kept and message.qos:
                # It is not acknowledged then: the broker sends it again when we are back.
                raise

    def listen(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.end())
        while not self.stop.is_set():
            try:
                self.client.connect(self.hostname, self.port, self.keepalive)
                break
            except OSError as error:
                self.warning("%s:%i: %s", self.hostname, self.port, error)
                self.stop.wait(RETRY_WAIT)
        if not self.stop.is_set():
            self.client.loop_forever()

    def end(self):
        self.stop.set()
        self.client.disconnect()


if __name__ == "__main__":
    MqttListener().run()
