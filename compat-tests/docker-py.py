"""What programs do with docker-py, against the engine that DOCKER_HOST names. Run by docker-py.test.ts.

Everything it makes bears PREFIX in its name, by which the runner takes away what a failure leaves.
"""

import io
import os
import socket
import tarfile
import time
import unittest

import docker
from docker.errors import APIError, BuildError, ContainerError, ImageNotFound, NotFound
from docker.types import Healthcheck, IPAMConfig, IPAMPool, LogConfig, Mount, Ulimit

PREFIX = os.environ["PREFIX"]
client = docker.from_env(timeout=60)
api = client.api


def name(word):
    return PREFIX + word


def eventually(attempt, seconds=10):
    end = time.monotonic() + seconds
    while True:
        try:
            return attempt()
        except Exception:
            if time.monotonic() > end:
                raise
            time.sleep(0.03)


def output_of(box, command, **options):
    """docker-py loses what comes in one piece with the answer's headers; then the command is run again."""
    def attempt():
        result = box.exec_run(command, **options)
        assert result.output not in (b"", (None, None)), "no output"
        return result
    return eventually(attempt)


def tar(files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, content in files.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def untar(chunks):
    archive = tarfile.open(fileobj=io.BytesIO(b"".join(chunks)))
    return {entry.name: archive.extractfile(entry).read() for entry in archive if entry.isfile()}


class Case(unittest.TestCase):
    def box(self, word, command="sleep 1000", **options):
        container = client.containers.run("busybox", command, name=name(word), detach=True, **options)
        self.addCleanup(lambda: container.remove(force=True, v=True))
        return container


class Containers(Case):
    def test_run(self):
        self.assertEqual(client.containers.run("busybox", "echo hello", remove=True, name=name("once")), b"hello\n")
        self.assertEqual(client.containers.run("busybox", "sh -c 'echo out; echo err >&2'", remove=True, stdout=False, stderr=True, name=name("err")), b"err\n")
        with self.assertRaises(ContainerError) as failed:
            client.containers.run("busybox", "sh -c 'echo bad >&2; exit 3'", remove=True, name=name("fails"))
        self.assertEqual((failed.exception.exit_status, failed.exception.stderr), (3, b"bad\n"))
        with self.assertRaises(APIError) as missing:
            client.containers.run("busybox", "nosuchcommand", remove=True, name=name("nocommand"))
        client.containers.get(name("nocommand")).remove()
        self.assertIn("executable file not found in $PATH", missing.exception.explanation)

    def test_options(self):
        box = self.box(
            "options", cap_drop=["ALL"], cpu_shares=512, environment={"A": "1"}, extra_hosts={"somewhere": "192.0.2.7"}, hostname="boxed",
            labels={"k": "v"}, log_config=LogConfig(type=LogConfig.types.JSON, config={"max-size": "1m"}), mem_limit="64m", pids_limit=50,
            ports={"8080/tcp": None, "9090/udp": ("127.0.0.1", None)}, read_only=True, restart_policy={"Name": "on-failure", "MaximumRetryCount": 2}, shm_size="1m",
            tmpfs={"/scratch": "size=1m"}, ulimits=[Ulimit(name="nofile", soft=100, hard=200)], user="5:6", working_dir="/tmp",
        )
        code, output = output_of(box, ["sh", "-c", "id -u; pwd; hostname; ulimit -n; echo $A; grep -c 192.0.2.7 /etc/hosts; touch /x 2>/dev/null || echo read-only"])
        self.assertEqual((code, output.decode().split()), (0, ["5", "/tmp", "boxed", "100", "1", "1", "read-only"]))
        box.reload()
        self.assertRegex(box.ports["8080/tcp"][0]["HostPort"], r"^\d+$")
        self.assertEqual(box.ports["9090/udp"][0]["HostIp"], "127.0.0.1")
        self.assertEqual(box.attrs["HostConfig"]["Memory"], 64 << 20)
        self.assertEqual(box.labels, {"k": "v"})
        box.update(mem_limit="32m", memswap_limit="64m", restart_policy={"Name": "no"})
        box.reload()
        self.assertEqual((box.attrs["HostConfig"]["Memory"], box.attrs["HostConfig"]["RestartPolicy"]["Name"]), (32 << 20, "no"))

    def test_life(self):
        box = client.containers.create("busybox", "sleep 1000", name=name("life"), stop_signal="SIGKILL")
        self.addCleanup(lambda: box.remove(force=True))
        self.assertEqual(box.status, "created")
        for change, status in [(box.start, "running"), (box.pause, "paused"), (box.unpause, "running"), (box.restart, "running"), (box.stop, "exited")]:
            change()
            box.reload()
            self.assertEqual(box.status, status)
        self.assertEqual(box.wait()["StatusCode"], 137)
        box.rename(name("lives"))
        self.assertEqual([each.name for each in client.containers.list(all=True, filters={"name": name("lives")})], [name("lives")])
        self.assertEqual(client.containers.list(filters={"name": name("lives")}), [])
        box.start()
        self.assertEqual(box.top()["Processes"][0][-1], "sleep 1000")
        self.assertEqual(box.stats(stream=False)["pids_stats"]["current"], 1)
        self.assertEqual(next(box.stats(decode=True))["name"], "/" + name("lives"))
        box.exec_run("touch /made")
        self.assertIn({"Path": "/made", "Kind": 1}, box.diff())
        image = box.commit(repository=name("committed"), tag="1", changes=["ENV MADE=yes"])
        self.addCleanup(lambda: client.images.remove(name("committed") + ":1"))
        self.assertIn("MADE=yes", image.attrs["Config"]["Env"])
        self.assertIn("made", untar(box.export()))
        box.kill(signal="SIGKILL")
        self.assertEqual(box.wait(condition="not-running")["StatusCode"], 137)

    def test_health(self):
        second = 1_000_000_000
        box = self.box("health", healthcheck=Healthcheck(test=["CMD", "test", "-e", "/ok"], interval=second // 10, timeout=second * 5, retries=100))
        box.exec_run("touch /ok")

        def healthy():
            box.reload()
            self.assertEqual(box.attrs["State"]["Health"]["Status"], "healthy")

        eventually(healthy)

    def test_errors(self):
        with self.assertRaises(NotFound):
            client.containers.get(name("nobody"))
        with self.assertRaises(ImageNotFound):
            client.images.get(name("nothing"))
        self.box("twice")
        with self.assertRaises(APIError) as conflict:
            client.containers.create("busybox", name=name("twice"))
        self.assertEqual(conflict.exception.status_code, 409)
        self.assertTrue(conflict.exception.is_client_error())


class Streams(Case):
    def test_logs(self):
        box = self.box("logs", "sh -c 'for i in 1 2 3; do echo $i; sleep 0.05; done; echo end >&2'")
        self.assertEqual(b"".join(box.logs(stream=True, follow=True)), b"1\n2\n3\nend\n")
        self.assertEqual(box.logs(stdout=False), b"end\n")
        # The last lines are counted before a stream is left out.
        self.assertEqual(box.logs(tail=2, stderr=False), b"3\n")
        self.assertRegex(box.logs(timestamps=True, tail=1), rb"^\d{4}-\d\d-\d\dT[\d:.]+Z end\n$")
        self.assertEqual(box.logs(since=int(time.time()) + 100), b"")

    def test_exec(self):
        box = self.box("exec")
        eventually(lambda: self.assertEqual(box.exec_run("sh -c 'echo out; echo err >&2; exit 7'", demux=True), (7, (b"out\n", b"err\n"))))
        stream = lambda: b"".join(box.exec_run(["sh", "-c", "echo $A; pwd"], environment=["A=b"], workdir="/bin", stream=True).output)
        eventually(lambda: self.assertEqual(stream(), b"b\n/bin\n"))
        self.assertRegex(output_of(box, "tty", tty=True).output, rb"^/dev/pts/\d+\r\n$")
        self.assertEqual(box.exec_run("true", detach=True).output, "")
        exec_id = api.exec_create(box.id, ["sh", "-c", "read line; echo got $line"], stdin=True)["Id"]
        wire = api.exec_start(exec_id, socket=True)
        wire._sock.sendall(b"this\n")
        self.assertEqual(self.rest(wire), b"\x01\0\0\0\0\0\0\x09got this\n")
        self.assertEqual(eventually(lambda: self.ended(exec_id)), 0)

    def ended(self, exec_id):
        state = api.exec_inspect(exec_id)
        self.assertFalse(state["Running"])
        return state["ExitCode"]

    def rest(self, wire):
        received = b""
        while chunk := wire._sock.recv(65536):
            received += chunk
        wire.close()
        return received

    def test_attach_socket(self):
        box = client.containers.create("busybox", "cat", name=name("attached"), stdin_open=True)
        self.addCleanup(lambda: box.remove(force=True))
        wire = box.attach_socket(params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1})
        box.start()
        wire._sock.sendall(b"hello\n")
        self.assertEqual(wire._sock.recv(100), b"\x01\0\0\0\0\0\0\x06hello\n")
        wire._sock.shutdown(socket.SHUT_WR)
        self.assertEqual(self.rest(wire), b"")
        wire.close()

    def test_attach_to_a_terminal(self):
        box = self.box("terminal", "sh -c 'echo before; read line; stty size; echo after $line'", tty=True, stdin_open=True)
        eventually(lambda: self.assertIn(b"before", box.logs()))
        box.resize(40, 120)
        wire = box.attach_socket(params={"stdin": 1, "stdout": 1, "stream": 1})
        wire._sock.sendall(b"this\n")
        self.assertEqual(self.rest(wire), b"this\r\n40 120\r\nafter this\r\n")

    def test_archives(self):
        box = self.box("archive")
        self.assertTrue(box.put_archive("/tmp", tar({"a": b"archived", "d/b": b"deeper"})))
        chunks, stat = box.get_archive("/tmp")
        self.assertEqual(untar(chunks), {"tmp/a": b"archived", "tmp/d/b": b"deeper"})
        self.assertEqual(stat["name"], "tmp")
        with self.assertRaises(NotFound):
            box.get_archive("/nosuch")

    def test_events(self):
        since = int(time.time())
        events = client.events(decode=True, filters={"container": name("events"), "type": "container"})
        self.box("events", "true").wait()
        seen = []
        for event in events:
            seen.append(event["Action"])
            if event["Action"] == "die":
                break
        events.close()
        self.assertEqual([action for action in seen if action != "attach"], ["create", "start", "die"])
        past = [event["Action"] for event in client.events(since=since, until=int(time.time()) + 1, decode=True, filters={"container": name("events"), "event": ["die"]})]
        self.assertEqual(past, ["die"])


class Around(Case):
    def test_networks(self):
        pool = IPAMConfig(pool_configs=[IPAMPool(subnet="10.213.7.0/24", gateway="10.213.7.9")])
        network = client.networks.create(name("net"), driver="bridge", ipam=pool, labels={"k": "v"}, check_duplicate=True, internal=True)
        self.addCleanup(network.remove)
        server = self.box("server")
        network.connect(server, aliases=["servant"], ipv4_address="10.213.7.77")
        output = client.containers.run("busybox", "nslookup servant", network=name("net"), remove=True, name=name("lookup"))
        self.assertIn(b"Address: 10.213.7.77", output)
        network.reload()
        self.assertEqual([each.name for each in network.containers], [name("server")])
        network.disconnect(server)
        network.reload()
        self.assertEqual(network.containers, [])
        self.assertEqual([each.name for each in client.networks.list(names=[name("net")])], [name("net")])
        self.assertEqual(client.networks.prune(filters={"label": name("nobody's")})["NetworksDeleted"], None)

    def test_volumes(self):
        volume = client.volumes.create(name=name("data"), driver="local", labels={"k": "v"})
        self.addCleanup(volume.remove)
        client.containers.run("busybox", "sh -c 'echo kept >/data/f'", volumes={name("data"): {"bind": "/data", "mode": "rw"}}, remove=True, name=name("writer"))
        read = client.containers.run("busybox", "cat /in/f", mounts=[Mount("/in", name("data"), read_only=True)], remove=True, name=name("reader"))
        self.assertEqual(read, b"kept\n")
        user = self.box("user", volumes=[name("data") + ":/data:ro"])
        with self.assertRaises(APIError) as busy:
            volume.remove()
        self.assertEqual(busy.exception.status_code, 409)
        heir = client.containers.run("busybox", "cat /data/f", volumes_from=[user.name], remove=True, name=name("heir"))
        self.assertEqual(heir, b"kept\n")
        self.assertEqual([each.name for each in client.volumes.list(filters={"label": "k=v", "name": name("data")})], [name("data")])

    def test_images(self):
        image = client.images.get("busybox")
        self.assertTrue(image.tag(name("image"), tag="one"))
        saved = b"".join(client.images.get(name("image") + ":one").save(named=name("image") + ":one"))
        client.images.remove(name("image") + ":one")
        loaded = client.images.load(saved)
        self.assertEqual([each.id for each in loaded], [image.id])
        self.assertIn(name("image") + ":one", client.images.get(image.id).tags)
        self.assertEqual([each.id for each in client.images.list(name=name("image"))], [image.id])
        self.assertTrue(image.history())
        client.images.remove(name("image") + ":one")
        api.import_image_from_data(tar({"etc/file": b"here"}), repository=name("image"), tag="two", changes=["LABEL made=here"])
        imported = client.images.get(name("image") + ":two")
        self.assertEqual(imported.labels, {"made": "here"})
        client.images.remove(imported.id, force=True)

    def test_builds(self):
        context = tar({"Dockerfile": b"FROM busybox\nARG who\nCOPY f /f\nRUN echo $who >>/f\n", "f": b"hello\n"})
        options = dict(fileobj=io.BytesIO(context), custom_context=True, tag=name("built"), buildargs={"who": "py"}, labels={"made": "here"}, rm=True, forcerm=True,
                       network_mode="none", extra_hosts={"elsewhere": "192.0.2.1"}, shmsize=32 << 20, container_limits={"memory": 64 << 20})
        image, lines = client.images.build(**options)
        self.assertIn(f"Successfully tagged {name('built')}:latest\n", [line.get("stream") for line in lines])
        self.assertEqual(image.labels, {"made": "here"})
        self.assertEqual(client.containers.run(image, "cat /f", remove=True, name=name("reads")), b"hello\npy\n")
        client.images.remove(name("built"))
        with self.assertRaisesRegex(BuildError, "returned a non-zero code: 7"):
            client.images.build(fileobj=io.BytesIO(b"FROM busybox\nRUN exit 7\n"), rm=True, forcerm=True)
        with self.assertRaisesRegex(APIError, "unknown instruction: FOO"):
            client.images.build(fileobj=io.BytesIO(b"FROM busybox\nFOO\n"))

    def test_system(self):
        self.assertTrue(client.ping())
        self.assertEqual(client.version()["Os"], "linux")
        self.assertGreaterEqual(client.info()["NCPU"], 1)
        self.assertIn("LayersSize", client.df())
        self.assertEqual(docker.DockerClient(base_url=os.environ["DOCKER_HOST"], version="1.35").version()["Os"], "linux")
        # Not a swarm manager.
        with self.assertRaises(APIError) as swarm:
            client.services.list()
        self.assertEqual(swarm.exception.status_code, 503)


if __name__ == "__main__":
    unittest.main(verbosity=2)
