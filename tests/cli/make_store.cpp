#include <cstdio>
#include <string>

#include "data/msgpack_codec.hpp"
#include "data/ordered_codec.hpp"
#include "storage/lmdb_store.hpp"

using namespace bzmq;

/// make_store FOLDER COUNT: a store with the values "key0" -> 0, "key1" -> 1, and so on.
int main(int argc, char** argv) {
    if (argc != 3) {
        return 2;
    }
    auto store = storage::lmdb_store::open({.folder = argv[1]});
    if (!store) {
        std::fprintf(stderr, "%s\n", to_string(store.error()).c_str());
        return 1;
    }
    replica::persist_batch batch;
    for (int i = 0; i < std::stoi(argv[2]); ++i) {
        std::vector<std::byte> key;
        std::vector<std::byte> value;
        std::vector<std::byte> entry;
        if (!encode_ordered("key" + std::to_string(i), key) || !encode(i, value)) {
            return 1;
        }
        replica::change put;
        put.key = key;
        put.value = value;
        replica::put_head(entry, {});
        replica::put_change(entry, put);
        batch.chain_after = replica::chain(batch.chain_after, entry);
        batch.entries.push_back(shared_bytes::copy_of(std::span<const std::byte>{entry}));
    }
    return (*store)->commit(batch) ? 1 : 0;
}
