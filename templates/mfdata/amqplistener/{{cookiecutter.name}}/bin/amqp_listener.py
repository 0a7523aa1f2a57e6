#!/usr/bin/env python3

import signal

import pika
import pika.exceptions

from message_listener import RETRY_WAIT, MessageListener


class AmqpListener(MessageListener):
    def init(self):
        super().init()
        self.hostname = self.text("hostname")
        self.port = int(self.text("port"))
        credentials_type = self.text("credentials_type")
        if credentials_type != "plain":
            self.error_and_die("amqp_credentials_type: found %s; plain is allowed", credentials_type)
        self.parameters = pika.ConnectionParameters(
            host=self.hostname,
            port=self.port,
            virtual_host=self.text("virtualhost"),
            credentials=pika.PlainCredentials(self.text("credentials_username"), self.text("credentials_password")),
        )
        self.auto_ack = self.flag("auto_ack")

    def text(self, key):
        value = self.get_custom_config_value(f"amqp_{key}", default="")
        return "" if value == "null" else value

    def flag(self, key):
        return self.text(key).lower() in ("1", "true", "yes", "y", "t")

    def flags(self, prefix, *names):
        return {name: self.flag(f"{prefix}_{name}") for name in names}

    def listen(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stop.set())
        while not self.stop.is_set():
            try:
                with pika.BlockingConnection(self.parameters) as connection:
                    self.consume(connection.channel())
            except (pika.exceptions.AMQPError, OSError) as error:
                self.warning("%s:%i: %s: %s", self.hostname, self.port, type(error).__name__, error)
                self.stop.wait(RETRY_WAIT)

    def consume(self, channel):
        queue = self.declare(channel)
        self.info("connected to %s:%i", self.hostname, self.port)
        messages = channel.consume(
            queue, auto_ack=self.auto_ack, exclusive=self.flag("exclusive"), inactivity_timeout=1
        )
        for method, _, body in messages:
            if self.stop.is_set():
                break
            if method is not None:
                self.receive(channel, method, body)
        channel.cancel()

    def declare(self, channel):
        queue = self.text("queue_name")
        flags = self.flags("queue", "passive", "durable", "exclusive", "auto_delete")
        # The broker finds a name where there is none.
        queue = channel.queue_declare(queue=queue, **flags).method.queue
        exchange = self.text("exchange_name")
        if exchange:
            flags = self.flags("exchange", "passive", "durable", "auto_delete", "internal")
            channel.exchange_declare(exchange, exchange_type=self.text("exchange_type"), **flags)
            channel.queue_bind(queue, exchange, routing_key=self.text("routing_key"))
        channel.basic_qos(prefetch_count=int(self.text("prefetch_count") or 1))
        return queue

    def receive(self, channel, method, body):
        try:
            self.save(body, amqplistener_hostname=self.hostname, amqplistener_port=self.port)
        except Exception:
            self.exception("a message of %s was not saved", self.hostname)
            if not self.auto_ack:
                requeue = self.flag("requeue")
                channel.basic_reject(method.delivery_tag, requeue=requeue)
                if requeue:
                    # It comes again, and at once.
                    self.stop.wait(RETRY_WAIT)
            return
        if not self.auto_ack:
            channel.basic_ack(method.delivery_tag)


if __name__ == "__main__":
    AmqpListener().run()
