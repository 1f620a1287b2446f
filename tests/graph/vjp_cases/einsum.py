from graph.vjp_case import Case, case, normal


def _of(equation: str, *shapes: tuple[int, ...]) -> Case:
    return case("Einsum", *(normal(*shape) for shape in shapes), equation=equation)


CASES = [
    _of("ij->ji", (2, 3)),
    _of("ij->i", (2, 3)),
    _of("ij->", (2, 3)),
    _of("ij", (2, 3)),
    _of("ba", (2, 3)),
    _of("ij,jk->ik", (2, 3), (3, 4)),
    _of("ij,jk", (2, 3), (3, 4)),
    _of("ij, jk -> ki", (2, 3), (3, 4)),
    _of("ij,ij->ij", (2, 3), (2, 3)),
    _of("i,j->ij", (2,), (3,)),
    _of("i,i->", (3,), (3,)),
    _of("ij,k->k", (2, 3), (4,)),
    _of("bhqd,bhkd->bhqk", (2, 2, 3, 2), (2, 2, 2, 2)),
    _of("bqhd,bkhd->bhqk", (1, 3, 2, 2), (1, 2, 2, 2)),
    _of("bi,ijk,bk->bj", (2, 2), (2, 3, 2), (2, 2)),
    _of("...ij,jk->...ik", (2, 2, 3), (3, 2)),
    _of("...ij,...jk->...ik", (2, 2, 3), (1, 3, 2)),
    _of("...ij,...jk", (2, 1, 2, 3), (1, 2, 3, 2)),
    _of("i...->...i", (2, 3, 2)),
    _of("i...->...", (2, 3, 2)),
    _of("A...,a->...a", (2, 3), (2,)),
]
