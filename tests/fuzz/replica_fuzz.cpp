#include <cstdlib>
#include <deque>
#include <map>
#include <memory>

#include "base/bytes.hpp"
#include "replica/host.hpp"
#include "replica/message_samples.hpp"

namespace {

using namespace bzmq;
using namespace std::chrono_literals;
using namespace bzmq::replica;

constexpr std::uint8_t self = 1;
constexpr std::uint8_t ids = 4;

endpoint_id id_of(std::uint8_t number) { return endpoint_id{endpoint_id::bytes_type{number}}; }

/// What the decoders take, the encoders write so that the decoders take it again.
void decoders(std::span<const std::byte> message) {
    const auto again = replica::testing::encode_again(message);
    if (again && replica::testing::encode_again(*again) != again) {
        std::abort();
    }
    [[maybe_unused]] const bool entry = well_formed(message);
    [[maybe_unused]] const bool command = valid_command(message);
}

/// The shell of a host: disks that do what the input says, when it says so.
struct shell final : host_output, directory {
    struct writing {
        store_id store = 0;
        enum class kind : std::uint8_t { batch, snapshot, vote } what = kind::batch;
        sequence last = 0;
    };
    std::deque<writing> disk;
    std::map<store_id, std::vector<std::byte>> last_message;
    std::vector<std::vector<std::byte>> sent;
    std::vector<store_id> gone;
    std::map<ticket, unsigned> answers;
    bool others = true;

    void send(std::span<const endpoint_id>, std::vector<std::byte> message) override {
        if (!replica::testing::encode_again(message)) {
            std::abort();  // It says what nobody would understand.
        }
        sent.push_back(std::move(message));
        if (sent.size() > 64) {
            sent.erase(sent.begin(), sent.begin() + 32);
        }
    }
    void persist(store_id store, persist_batch batch) override {
        if (batch.entries.empty()) {
            std::abort();
        }
        disk.push_back({store, writing::kind::batch, batch.first + batch.entries.size() - 1});
    }
    void persist_snapshot(store_id store, snapshot_image image) override {
        if (image.behind.first != image.last + 1 || image.values == nullptr) {
            std::abort();
        }
        disk.push_back({store, writing::kind::snapshot, 0});
    }
    void persist_vote(store_id store, vote_record) override {
        disk.push_back({store, writing::kind::vote, 0});
    }
    void answered(ticket to, const answer&) override {
        if (++answers[to] > 1) {
            std::abort();
        }
    }
    void changed(store_id, const effect&) override {}
    [[nodiscard]] bool wants_changes(store_id store) const override { return store % 2 == 0; }
    void report(error) override {}
    void status_changed(store_id, const clone_status&) override {}
    void services_changed(std::vector<std::string>) override {}
    void ended(store_id store, const error&) override { gone.push_back(store); }
    [[nodiscard]] std::vector<endpoint_id> providers(std::string_view service) const override {
        if (!others) {
            return {};
        }
        return service.starts_with("store:") ? std::vector{id_of(2), id_of(3)}
                                             : std::vector{id_of(2), id_of(3), id_of(4)};
    }
};

class driver {
  public:
    explicit driver(std::span<const std::byte> input) : in_(input), host_(id_of(self), shell_) {
        shell_.others = false;
        master();
        shell_.others = true;
        follower(false);
        follower(true);
    }

    void run() {
        for (unsigned i = 0; i < 300 && !in_.done(); ++i) {
            step();
            host_.flush(now_, wall());
            std::erase_if(places_, [this](const auto& each) {
                return std::find(shell_.gone.begin(), shell_.gone.end(), each.first)
                       != shell_.gone.end();
            });
            check();
        }
        host_.shutdown();
    }

  private:
    struct place {
        replica::table values;
        no_gate gate;
    };
    [[nodiscard]] timestamp wall() const { return timestamp{1000h + now_}; }

    place& room() { return *(places_[++last_store_] = std::make_unique<place>()); }
    void master() {
        auto& in = room();
        master_options options;
        options.name = "m";
        options.durable = true;
        options.sync_replicas = 1;
        options.frame_bytes = options.window_bytes = 256;
        options.log_bytes = 1'024;
        clone_options fenced;
        fenced.name = "m";
        fenced.self = id_of(50);
        fenced.standby = true;
        fenced.promoted = options;
        host_.attach_master(now_, wall(), last_store_, options,
                            {{replica::testing::sample_store, {{1, 1}}}, 0, 0, {}}, in.values,
                            in.gate, shell_, fenced);
    }
    void follower(bool standby) {
        auto& in = room();
        clone_options options;
        options.name = standby ? "s" : "c";
        options.self = replica::testing::sample_clone;
        options.standby = standby;
        options.mutation_buffer_bytes = 4'096;
        options.failover_timeout = 1s;
        if (standby) {
            options.promoted.sync_replicas = 1;
            options.elector = "e1";
            options.electors = {"e1", "e2", "e3"};
        }
        if (host_.attach_clone(now_, last_store_, options, in.values, in.gate, shell_)) {
            std::abort();
        }
    }

    std::span<const std::byte> some_bytes() {
        const auto length = in_.fixed<std::uint16_t>();
        return in_.bytes(std::min<std::size_t>(length % 1024, in_.remaining()));
    }
    store_id some_store() { return in_.u8() % (last_store_ + 1); }
    endpoint_id somebody() { return id_of(static_cast<std::uint8_t>(1 + in_.u8() % ids)); }
    void give(std::span<const std::byte> message) {
        decoders(message);
        host_.received(now_, wall(), somebody(), message);
    }
    /// A head that leads to one of the stores, and anything behind it.
    void headed() {
        std::vector<std::byte> bytes;
        byte_writer out{bytes};
        out.u8(in_.u8());
        out.string(std::string_view{"mcs"}.substr(in_.u8() % 3, 1));
        out.bytes(some_bytes());
        give(bytes);
    }
    /// A welcome message that fits a clone's newest attempt, so that what follows counts.
    void welcome() {
        auto what = replica::testing::sample_welcome();
        const auto shape = in_.u8();
        const std::string name = (shape & 1) != 0 ? "s" : "c";
        what.attempt = in_.u8();
        what.round = in_.u8();
        what.snapshot = (shape & 2) != 0;
        what.from = in_.u8();
        what.committed = in_.u8();
        what.chain = (shape & 4) != 0 ? 0 : in_.u8();
        what.epoch = 1 + (in_.u8() & 3);
        what.epochs = {{1, 1}, {what.epoch, in_.u8()}};
        what.number = in_.u8();
        give(encode(name, what));
    }
    void log() {
        log_message what;
        const auto shape = in_.u8();
        what.epoch = 1 + (shape >> 4 & 3);
        what.first = 1U + in_.u8();
        what.committed = in_.u8();
        std::vector<std::vector<std::byte>> entries;
        for (unsigned more = shape & 7; more > 0; --more) {
            std::vector<std::byte> entry;
            put_head(entry, {in_.u8() & 3U, in_.u8(), static_cast<ec>(in_.u8() & 15)});
            const auto kind = static_cast<change_kind>(1 + in_.u8() % 7);
            const auto key = in_.bytes(std::min<std::size_t>(2, in_.remaining()));
            put_change(entry, {kind, key, key, wall(), 1U + (in_.u8() & 3U),
                               (shape & 8) != 0 ? replica::testing::sample_clone : id_of(9)});
            entries.push_back(std::move(entry));
        }
        what.entries.assign(entries.begin(), entries.end());
        give(encode((in_.u8() & 1) != 0 ? "s" : "c", what));
    }
    void chunk() {
        chunk_message what;
        const auto shape = in_.u8();
        what.epoch = 1 + (shape & 3);
        what.round = in_.u8();
        what.from = std::uint64_t{in_.u8()} << 56;
        what.to = (shape & 4) != 0 ? 0 : std::uint64_t{in_.u8()} << 56;
        what.at = in_.u8();
        const auto key = in_.bytes(std::min<std::size_t>(1 + (shape >> 4), in_.remaining()));
        what.values = {{key, key, no_expiry, 1}};
        give(encode((shape & 8) != 0 ? "s" : "c", what));
    }
    void submit() {
        command what;
        const std::vector<std::byte> key{std::byte{4}, std::byte{'k'}, std::byte{0}, std::byte{0}};
        const auto value = some_bytes();
        what.what = static_cast<operation>(1 + in_.u8() % 13);
        what.key = key;
        what.value = what.index = value;
        std::vector<std::byte> bytes;
        put_command(bytes, what);
        if (valid_command(bytes)) {
            host_.submit(now_, wall(), some_store(), ++last_ticket_, bytes);
        }
    }
    void disk() {
        if (shell_.disk.empty()) {
            return;
        }
        const auto next = shell_.disk.front();
        shell_.disk.pop_front();
        const error problem = (in_.u8() & 7) == 0 ? error{ec::backend_failure} : error{};
        switch (next.what) {
            case shell::writing::kind::batch:
                if (problem) {
                    std::erase_if(shell_.disk, [&](const auto& each) {
                        return each.store == next.store && each.what == next.what;
                    });
                }
                host_.persisted(now_, wall(), next.store, problem ? 0 : next.last, problem);
                break;
            case shell::writing::kind::snapshot:
                host_.snapshot_persisted(now_, next.store, problem);
                break;
            case shell::writing::kind::vote:
                host_.vote_persisted(now_, next.store, problem);
                break;
        }
    }
    void step() {
        switch (in_.u8() % 16) {
            case 0:
                give(some_bytes());
                break;
            case 1:
            case 2:
                headed();
                break;
            case 3:
                welcome();
                break;
            case 4:
            case 5:
                log();
                break;
            case 6:
                chunk();
                break;
            case 7:
                submit();
                break;
            case 8:
            case 9:
                disk();
                break;
            case 10:  // What a host says, to itself.
                if (!shell_.sent.empty()) {
                    give(std::vector{shell_.sent[in_.u8() % shell_.sent.size()]});
                }
                break;
            case 11:
                host_.promote(now_, wall(), some_store());
                break;
            case 12:
                shell_.others = (in_.u8() & 1) != 0;
                host_.view_changed(now_, shell_);
                break;
            default: {
                const auto code = in_.u8();
                now_ += code < 128 ? 1ms * code : 1ms * (50 * (code - 127));
                host_.tick(now_, wall());
            }
        }
    }
    void check() {
        for (const auto& [id, each] : places_) {
            if (const auto* clone = host_.clone_of(id); clone != nullptr && clone->applied() > 0) {
                [[maybe_unused]] const auto chain = clone->chain();
                if (clone->command_bytes() > 64 * 1'024) {
                    std::abort();
                }
            }
        }
    }

    byte_reader in_;
    shell shell_;
    std::map<store_id, std::unique_ptr<place>> places_;
    host host_;
    instant now_ = 1s;
    store_id last_store_ = 0;
    ticket last_ticket_ = 0;
};

}  // namespace

// Messages of stores decode to something or to nothing; and a host with a master, a clone and a
// standby keeps its promises to the shell whatever messages come.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    const auto input = std::as_bytes(std::span{bytes, size});
    decoders(input);
    driver{input}.run();
    return 0;
}
