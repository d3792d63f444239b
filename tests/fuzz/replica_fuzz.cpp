// What stores say to each other, from a stranger and from each other's places, thrown at a master
// and its clone: messages, log entries, commands. Afterwards both must still work together.
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <utility>
#include <vector>

#include "data/msgpack_codec.hpp"
#include "data/ordered_codec.hpp"
#include "replica/host.hpp"

namespace {

using namespace bzmq;

const endpoint_id here{endpoint_id::bytes_type{1}};
const endpoint_id stranger{endpoint_id::bytes_type{2}};

struct place final : replica::host_output, replica::directory {
    place() {
        replica::master_options how;
        how.name = "s";
        stores.attach_master(now, wall, 1, how, {{endpoint_id{{9}}, {{1, 1}}}, 0, 0, {}}, values,
                             gate, *this);
        replica::clone_options copy;
        copy.name = "s";
        copy.self = endpoint_id{{7}};
        stores.attach_clone(now, 2, copy, copies, gate, *this);
        turn();
    }
    void turn() {
        stores.tick(now, wall);
        stores.flush(now, wall);
    }

    void send(std::span<const endpoint_id>, std::vector<std::byte>) override {}
    void persist(replica::store_id, replica::persist_batch) override {}
    void answered(replica::ticket, const replica::answer&) override {}
    void changed(replica::store_id, const replica::effect&) override {}
    [[nodiscard]] bool wants_changes(replica::store_id) const override { return true; }
    void report(error) override {}
    void status_changed(replica::store_id, const replica::clone_status&) override {}
    void services_changed(std::vector<std::string>) override {}
    void ended(replica::store_id, const error&) override {}
    [[nodiscard]] std::vector<endpoint_id> providers(std::string_view) const override {
        return {here};
    }

    instant now{std::chrono::hours{1}};
    timestamp wall{std::chrono::hours{500'000}};
    replica::table values, copies;
    replica::no_gate gate;
    replica::host stores{here, *this};
};

void must(bool fine) {
    if (!fine) {
        std::abort();
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    place at;
    byte_reader in{std::as_bytes(std::span{data, size})};
    while (!in.done()) {
        const auto how = in.u8();
        const auto body = in.bytes(std::min<std::size_t>(in.u8(), in.remaining()));
        if ((how & 1) != 0) {
            at.now += std::chrono::milliseconds{how};
            at.wall += std::chrono::milliseconds{how};
            at.turn();
        }
        std::vector<std::byte> message;
        byte_writer out{message};
        if ((how & 2) != 0) {  // Otherwise the head is noise as well.
            out.u8(static_cast<std::uint8_t>(how >> 4));
            out.string("s");
        }
        out.bytes(body);
        at.stores.received(at.now, at.wall, (how & 4) != 0 ? stranger : here, message);
        [[maybe_unused]] const auto well = replica::well_formed(body);
        [[maybe_unused]] const auto valid = replica::valid_command(body);
    }
    std::vector<std::byte> key, value, command;
    must(encode_ordered(bzmq::data{"key"}, key) && encode(bzmq::data{"value"}, value));
    replica::put_command(command, {replica::operation::put, key, value, {}, 0, {}, {}});
    must(at.stores.submit(at.now, at.wall, 1, 0, command) == ec::none);
    at.turn();
    must(at.values.find(key) != nullptr);
    return 0;
}
