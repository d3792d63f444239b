// Writes to stores: commands, encoded on the calling thread, one at a time or in batches.
#include "bzmq/store.hpp"

#include <utility>

#include "data/msgpack_codec.hpp"
#include "data/ordered_codec.hpp"
#include "endpoint/core_thread.hpp"
#include "endpoint/store_state.hpp"
#include "replica/command.hpp"

namespace bzmq {
namespace {

using replica::operation;

/// Encodes into buffers that the thread keeps.
struct encoder {
    std::vector<std::byte> key, value, index, command;

    bool make(operation what, const data* key_of, const data* value_of, const data* index_of,
              std::optional<timespan> expiry, std::uint64_t revision) {
        key.clear();
        value.clear();
        index.clear();
        command.clear();
        if ((key_of != nullptr
             && (!encode_ordered(*key_of, key) || key.size() > replica::key_bytes_max))
            || (value_of != nullptr && !encode(*value_of, value))
            || (index_of != nullptr && !encode(*index_of, index))) {
            return false;
        }
        replica::put_command(command, {what, key, value, index, revision, expiry, {}});
        return true;
    }
};
encoder& thread_encoder() {
    thread_local encoder mine;
    return mine;
}

/// The bytes of a command in the thread's buffer; null where it is too large.
const std::vector<std::byte>* made(operation what, const data* key, const data* value = nullptr,
                                   std::optional<timespan> expiry = {},
                                   const data* index = nullptr, std::uint64_t revision = 0) {
    auto& buffer = thread_encoder();
    return buffer.make(what, key, value, index, expiry, revision) ? &buffer.command : nullptr;
}

store_write too_big() {
    return store_write{error{ec::message_too_big, "the key or the value exceeds the limits"}};
}

}  // namespace

// -- A write on its way ---------------------------------------------------------------------------

store_write::store_write(error why) : failed_(std::move(why)) {}
store_write::store_write(const store_write& other) noexcept
    : state_(other.state_), failed_(other.failed_) {
    if (state_ != nullptr) {
        state_->add_ref();
    }
}
store_write::store_write(store_write&& other) noexcept
    : state_(std::exchange(other.state_, nullptr)), failed_(std::move(other.failed_)) {}
store_write& store_write::operator=(store_write other) noexcept {
    std::swap(state_, other.state_);
    std::swap(failed_, other.failed_);
    return *this;
}
store_write::~store_write() {
    if (state_ != nullptr) {
        state_->drop_ref();
    }
}

bool store_write::done() const { return state_ == nullptr || state_->done(); }

expected<write_outcome> store_write::wait(timespan timeout) const {
    if (state_ == nullptr) {
        return tl::unexpected{failed_};
    }
    if (!state_->done() && core_thread::any()) {
        return tl::unexpected{cannot_wait()};
    }
    if (!state_->wait_until(deadline_in(timeout))) {
        return fail(ec::request_timeout, "the write has no outcome yet");
    }
    return outcome();
}

void store_write::then(std::function<void(const expected<write_outcome>&)> done) const {
    if (state_ == nullptr) {
        done(outcome());
        return;
    }
    state_->then([done = std::move(done)](write_state& state) {
        state.add_ref();
        done(store_write{&state}.outcome());
    });
}

expected<write_outcome> store_write::outcome() const {
    if (state_ == nullptr) {
        return tl::unexpected{failed_};
    }
    if (state_->problem()) {
        return tl::unexpected{state_->problem()};
    }
    write_outcome out{state_->revision(), {}};
    if (!state_->value().empty()) {
        if (auto value = decode(state_->value())) {
            out.value = std::move(*value);
        }
    }
    return out;
}

// -- Writing --------------------------------------------------------------------------------------

store_write store::submit(const std::vector<std::byte>* command) {
    if (command == nullptr) {
        return too_big();
    }
    if (!state_) {
        return store_write{no_store()};
    }
    store_write out{new write_state{state_->next_gate()}};
    if (auto problem = state_->submit(*command, out.state_)) {
        return store_write{std::move(problem)};
    }
    return out;
}

store_write store::put(const data& key, const data& value, std::optional<timespan> expiry) {
    return submit(made(operation::put, &key, &value, expiry));
}

store_write store::put_unique_nosync(const data& key, const data& value,
                                     std::optional<timespan> expiry) {
    return submit(made(operation::put_unique, &key, &value, expiry));
}

expected<data> store::put_unique(const data& key, const data& value,
                                 std::optional<timespan> expiry) {
    const auto outcome = put_unique_nosync(key, value, expiry).wait();
    if (outcome) {
        return data{true};
    }
    return outcome.error() == ec::key_exists ? expected<data>{data{false}}
                                             : tl::unexpected{outcome.error()};
}

store_write store::compare_and_put(const data& key, std::uint64_t revision, const data& value,
                                   std::optional<timespan> expiry) {
    return submit(made(operation::compare_and_put, &key, &value, expiry, nullptr, revision));
}

store_write store::increment(const data& key, const data& amount, std::optional<timespan> expiry) {
    return submit(made(operation::add, &key, &amount, expiry));
}

store_write store::decrement(const data& key, const data& amount, std::optional<timespan> expiry) {
    return submit(made(operation::subtract, &key, &amount, expiry));
}

store_write store::append(const data& key, std::string_view text, std::optional<timespan> expiry) {
    const data value{text};
    return submit(made(operation::append, &key, &value, expiry));
}

store_write store::insert_into(const data& key, const data& element,
                               std::optional<timespan> expiry) {
    return submit(made(operation::insert, &key, &element, expiry));
}

store_write store::insert_into(const data& key, const data& index, const data& value,
                               std::optional<timespan> expiry) {
    return submit(made(operation::insert_pair, &key, &value, expiry, &index));
}

store_write store::remove_from(const data& key, const data& index,
                               std::optional<timespan> expiry) {
    return submit(made(operation::remove, &key, &index, expiry));
}

store_write store::push(const data& key, const data& value, std::optional<timespan> expiry) {
    return submit(made(operation::push, &key, &value, expiry));
}

store_write store::pop(const data& key, std::optional<timespan> expiry) {
    return submit(made(operation::pop, &key, nullptr, expiry));
}

store_write store::erase(const data& key) {
    return submit(made(operation::erase, &key));
}

store_write store::clear() { return submit(made(operation::clear, nullptr)); }

store_write store::apply(const store_batch& batch) {
    if (batch.problem_ != ec::none || batch.parts_.size() + 1 > replica::entry_bytes_max) {
        return too_big();
    }
    auto& buffer = thread_encoder();
    buffer.command.clear();
    replica::command whole;
    whole.what = operation::batch;
    whole.parts = batch.parts_;
    replica::put_command(buffer.command, whole);
    return submit(&buffer.command);
}

// -- Batches --------------------------------------------------------------------------------------

/// What does not fit spoils the batch.
store_batch& store_batch::add(const std::vector<std::byte>* command) {
    if (command == nullptr) {
        problem_ = ec::message_too_big;
        return *this;
    }
    byte_writer out{parts_};
    out.varint(command->size());
    out.bytes(*command);
    ++size_;
    return *this;
}

store_batch& store_batch::put(const data& key, const data& value, std::optional<timespan> expiry) {
    return add(made(operation::put, &key, &value, expiry));
}
store_batch& store_batch::put_unique(const data& key, const data& value,
                                     std::optional<timespan> expiry) {
    return add(made(operation::put_unique, &key, &value, expiry));
}
store_batch& store_batch::compare_and_put(const data& key, std::uint64_t revision,
                                          const data& value, std::optional<timespan> expiry) {
    return add(made(operation::compare_and_put, &key, &value, expiry, nullptr, revision));
}
store_batch& store_batch::increment(const data& key, const data& amount,
                                    std::optional<timespan> expiry) {
    return add(made(operation::add, &key, &amount, expiry));
}
store_batch& store_batch::decrement(const data& key, const data& amount,
                                    std::optional<timespan> expiry) {
    return add(made(operation::subtract, &key, &amount, expiry));
}
store_batch& store_batch::append(const data& key, std::string_view text,
                                 std::optional<timespan> expiry) {
    const data value{text};
    return add(made(operation::append, &key, &value, expiry));
}
store_batch& store_batch::insert_into(const data& key, const data& element,
                                      std::optional<timespan> expiry) {
    return add(made(operation::insert, &key, &element, expiry));
}
store_batch& store_batch::insert_into(const data& key, const data& index, const data& value,
                                      std::optional<timespan> expiry) {
    return add(made(operation::insert_pair, &key, &value, expiry, &index));
}
store_batch& store_batch::remove_from(const data& key, const data& index,
                                      std::optional<timespan> expiry) {
    return add(made(operation::remove, &key, &index, expiry));
}
store_batch& store_batch::push(const data& key, const data& value,
                               std::optional<timespan> expiry) {
    return add(made(operation::push, &key, &value, expiry));
}
store_batch& store_batch::pop(const data& key, std::optional<timespan> expiry) {
    return add(made(operation::pop, &key, nullptr, expiry));
}
store_batch& store_batch::erase(const data& key) { return add(made(operation::erase, &key)); }
store_batch& store_batch::clear() { return add(made(operation::clear, nullptr)); }

}  // namespace bzmq
