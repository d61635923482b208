"""Decoding a Transformer token by token: what is kept between the steps, so that nothing is computed twice.

Letters: B sentences, S source tokens, k hypotheses of a sentence (its beam), C channels, h heads, d = C / h,
V vocabulary.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from attnkit.models.layers.attention import attend
from attnkit.models.transformer import DecoderLayer, Transformer


class DecoderState:
    """Where a batch of sentences stands in decoding: keys and values so far, and who may see which.

    The k hypotheses of a sentence share one cache: each step appends k slots to it, and `visible` says which slots are
    a hypothesis' own past. Continuing another hypothesis then changes booleans instead of copying keys and values.
    """

    def __init__(self, model: Transformer, src: Int[Tensor, "B S"]) -> None:
        """Encode the sources: each sentence has one hypothesis, still empty."""
        self._model = model
        memory, self._src_mask = model.encode(src)
        self._src_lengths = model.src_lengths(src)
        self._memory = [_contiguous(layer.cross_attention.project_memory(memory)) for layer in model.decoder_layers]
        self._cache: list[tuple[Tensor, Tensor]] = []
        self._num_slots = 0
        self._position = 0
        self._visible = torch.ones(len(src), 1, 0, dtype=torch.bool, device=src.device)

    def step(self, tokens: Int[Tensor, "B k"]) -> Float[Tensor, "B k V"]:
        """Append a token to every hypothesis; the logits of what follows, in float32."""
        model = self._model
        batch, beams = tokens.shape
        own = torch.eye(beams, dtype=torch.bool, device=tokens.device).expand(batch, -1, -1)
        self._visible = torch.cat([self._visible, own], dim=2)  # (B, k, slots)
        mask = torch.zeros(self._visible.shape, device=tokens.device).masked_fill_(~self._visible, -math.inf)
        x = model.embed_tgt(tokens.reshape(-1, 1), src_lengths=self._repeat_lengths(beams), start=self._position)
        x = x.view(batch, beams, -1)  # the hypotheses of a sentence stand where the positions of a text would
        self._make_room(batch, beams)
        for layer, memory, cache in zip(model.decoder_layers, self._memory, self._cache, strict=True):
            x = self._decoder_layer(layer, x, memory, cache, mask[:, None])
        self._num_slots += beams
        self._position += 1
        return model.logits(model.decoder_norm(x)).float()

    def reorder(self, sentences: Int[Tensor, "B2"], beams: Int[Tensor, "B2 k2"]) -> None:
        """Make hypothesis (b, j) the continuation of what was (sentences[b], beams[b, j]).

        Sentences only ever leave. Those that keep their place are not copied: the others are moved in between them.
        """
        if len(sentences) < len(self._visible):
            places = torch.arange(len(sentences), device=sentences.device)
            to = places[sentences != places]
            moved = sentences[to]

            def close(kept: Tensor) -> Tensor:
                kept[to] = kept[moved]
                return kept[: len(sentences)]

            self._visible, self._src_lengths = close(self._visible), close(self._src_lengths)
            self._src_mask = None if self._src_mask is None else close(self._src_mask)
            self._memory = [(close(k), close(v)) for k, v in self._memory]
            self._cache = [(close(k), close(v)) for k, v in self._cache]
        index = beams[:, :, None].expand(-1, -1, self._visible.shape[2])
        self._visible = self._visible.gather(1, index)

    def _decoder_layer(
        self,
        layer: DecoderLayer,
        x: Tensor,
        memory: tuple[Tensor, Tensor],
        cache: tuple[Tensor, Tensor],
        mask: Tensor,
    ) -> Tensor:
        first, last = self._num_slots, self._num_slots + x.shape[1]
        q, k, v = layer.self_attention.project(layer.self_residual.enter(x))
        cache[0][:, :, first:last], cache[1][:, :, first:last] = k, v
        heads = attend(q, cache[0][:, :, :last], cache[1][:, :, :last], mask)
        x = layer.self_residual.join(x, layer.self_attention.merge(heads))
        heads = attend(layer.cross_attention.project_queries(layer.cross_residual.enter(x)), *memory, self._src_mask)
        x = layer.cross_residual.join(x, layer.cross_attention.merge(heads))
        return layer.mlp_residual.join(x, layer.mlp(layer.mlp_residual.enter(x)))

    def _make_room(self, batch: int, beams: int) -> None:
        """Caches with space for `beams` more slots; they grow by doubling."""
        needed = self._num_slots + beams
        if self._cache and self._cache[0][0].shape[2] >= needed:
            return
        capacity = max(2 * needed, 16 * beams)
        grown = []
        for index, (memory_k, _) in enumerate(self._memory):
            shape = (batch, memory_k.shape[1], capacity, memory_k.shape[3])
            pair = (memory_k.new_empty(shape), memory_k.new_empty(shape))
            if self._cache:
                for new, old in zip(pair, self._cache[index], strict=True):
                    new[:, :, : self._num_slots] = old[:, :, : self._num_slots]
            grown.append(pair)
        self._cache = grown

    def _repeat_lengths(self, beams: int) -> Tensor:
        return self._src_lengths.repeat_interleave(beams)


def _contiguous(pair: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Keys and values as every step wants them, so that it need not copy them again."""
    return pair[0].contiguous(), pair[1].contiguous()
