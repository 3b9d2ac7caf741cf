import { useCallback, useEffect, useState } from 'react'
import { currentUser, onSessionChange, signOut, type User } from './api'
import { ChatRoom } from './ChatRoom'
import { SignIn } from './SignIn'

type Session = { step: 'loading' } | { step: 'out'; name: string; note: string } | { step: 'in'; user: User }

export function App() {
  const [session, setSession] = useState<Session>({ step: 'loading' })

  useEffect(() => {
    currentUser().then(
      (user) => setSession(user ? { step: 'in', user } : { step: 'out', name: '', note: '' }),
      (err: Error) => setSession({ step: 'out', name: '', note: err.message }),
    )
  }, [])

  useEffect(
    () =>
      onSessionChange(() => {
        currentUser().then(
          (user) =>
            setSession((s) => {
              if (user) return s.step === 'in' && s.user.id === user.id ? s : { step: 'in', user }
              return s.step === 'in' ? { step: 'out', name: s.user.name, note: 'You have left in another tab.' } : s
            }),
          () => undefined, // The room finds out by itself.
        )
      }),
    [],
  )

  const ended = useCallback(
    () =>
      setSession((s) =>
        s.step === 'in' ? { step: 'out', name: s.user.name, note: 'Your session has ended. Please come in again.' } : s,
      ),
    [],
  )
  const leave = async () => {
    await signOut().catch(() => undefined)
    setSession({ step: 'out', name: '', note: '' })
  }

  switch (session.step) {
    case 'loading':
      return (
        <p className="splash" role="status">
          Loading…
        </p>
      )
    case 'out':
      return <SignIn name={session.name} note={session.note} onSignedIn={(user) => setSession({ step: 'in', user })} />
    case 'in':
      return <ChatRoom key={session.user.id} me={session.user} onSignedOut={ended} onLeave={leave} />
  }
}
