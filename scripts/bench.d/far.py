"""far.py ADDRESS PORT MILLISECONDS: listens on a port of 127.0.0.1, which it prints, and passes
on what comes to the other side, each way so much later, as a long line does."""
import asyncio
import sys


async def pass_on(reader, writer, delay):
    loop = asyncio.get_running_loop()
    due = asyncio.Queue()

    async def deliver():
        while (item := await due.get()) is not None:
            when, data = item
            await asyncio.sleep(max(0, when - loop.time()))
            writer.write(data)
        writer.close()

    delivery = asyncio.create_task(deliver())
    try:
        while data := await reader.read(65536):
            due.put_nowait((loop.time() + delay, data))
    except ConnectionError:
        pass
    due.put_nowait(None)
    await delivery


async def main():
    address, port, delay = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]) / 1000

    async def serve(reader, writer):
        far_reader, far_writer = await asyncio.open_connection(address, port)
        await asyncio.gather(
            pass_on(reader, far_writer, delay), pass_on(far_reader, writer, delay),
            return_exceptions=True,
        )

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print("listening", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
